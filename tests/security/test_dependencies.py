"""What is installed: pinned, of a licence on the list; images' locks carry hashes."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
ALLOWED = re.compile(
    r"MIT(-0|-CMU)?|Apache([- ]2\.0)?|BSD(-[23]-Clause)?|3-Clause BSD|ISC"
    r"|(Python Software Foundation|PSF-2\.0|CNRI-Python)|MPL-2\.0|BSL-1\.0|LLVM-exception"
    r"|Mozilla Public License 2\.0|Unlicense|0BSD|Zlib|HPND|CC0-1\.0"
)
"""MPL binds changes of its own files only; nothing here copies them."""

WORDS = re.compile(r"\s+(?:AND|OR|WITH)\s+|;\s*|[()]")


def stated(found: Distribution) -> str:
    """Return the licence that a distribution's metadata state."""
    expression = "".join(found.metadata.get_all("License-Expression") or [])
    classified = [
        line.rpartition(" :: ")[2]
        for line in found.metadata.get_all("Classifier") or []
        if line.startswith("License :: ")
    ]
    text = "".join(found.metadata.get_all("License") or []).strip()
    return expression or "; ".join(classified) or text.split("\n")[0]


def allowed(licence: str) -> bool:
    licence = re.sub(r"\s*\((ISCL|MPL 2\.0)\)", "", licence)
    parts = [part.strip() for part in WORDS.split(licence) if part.strip()]
    plain = [re.sub(r"\s+(Software )?License(, Version 2\.0)?$", "", part) for part in parts]
    return bool(plain) and all(ALLOWED.fullmatch(part) for part in plain)


def pins(path: Path) -> dict[str, str]:
    return dict(PIN.findall(path.read_text(encoding="utf-8")))


def normal(found: dict[str, str]) -> dict[str, str]:
    """Return versions by the name that an index gives a distribution."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found.items()}


def test_licences_of_what_is_installed_are_on_the_list() -> None:
    wanted = pins(ROOT / "requirements" / "dev.txt")
    assert len(wanted) > 100
    refused, seen = {}, 0
    for name in wanted:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        seen += 1
        if not allowed(stated(found)):
            refused[name] = stated(found)
    assert refused == {}
    assert seen > 100


def test_the_list_refuses_what_binds_us() -> None:
    for licence in (
        "GPL-3.0",
        "GNU Affero General Public License v3",
        "AGPL-3.0-only",
        "",
        "MIT; Proprietary",
    ):
        assert not allowed(licence)
    for licence in (
        "Apache-2.0 AND MIT",
        "BSD License; Apache Software License",
        "MPL-2.0 AND MIT",
    ):
        assert allowed(licence)


def test_every_pin_of_an_image_has_its_hash() -> None:
    locks = sorted((ROOT / "images" / "locks").glob("*.txt"))
    assert locks
    for path in locks:
        text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
        for line in text.split("\n"):
            if PIN.match(line):
                assert "--hash=sha256:" in line, f"{path.name}: {line[:60]}"


def test_what_install_sh_installs_has_hashes() -> None:
    wanted = pins(ROOT / "requirements" / "dev.txt")
    text = (ROOT / "requirements" / "dev.hashes.txt").read_text(encoding="utf-8")
    locked = pins(ROOT / "requirements" / "dev.hashes.txt")
    assert normal(locked) == {name: one for name, one in normal(wanted).items() if name != "torch"}
    entries = [one for one in re.split(r"^(?=[a-zA-Z])", text, flags=re.MULTILINE) if "==" in one]
    assert len(entries) == len(locked)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "--require-hashes" in (ROOT / "install.sh").read_text(encoding="utf-8")
