"""Prints a CycloneDX 1.6 bill of materials of the image it runs in: ``sbom.py IMAGE``.

Runs inside the image, with the standard library alone: Python distributions with the licence that
their metadata state, and Debian packages. The same image gives the same bytes, so there is no
time in it, and the serial number is derived from the content.
"""

import json
import platform
import re
import subprocess
import sys
import sysconfig
import uuid
from importlib.metadata import Distribution, distributions
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]


def licence(item: Distribution) -> str:
    """Return what the distribution's metadata say of its licence; empty when nothing."""
    found = "".join(item.metadata.get_all("License-Expression") or [])
    classifiers = item.metadata.get_all("Classifier") or []
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    text = "".join(item.metadata.get_all("License") or []).strip()
    return found or "; ".join(named) or (text if "\n" not in text else "")


def python_components() -> list[Component]:
    """Return a component per installed distribution, the base image's pip included."""
    base = {"base": sys.base_prefix, "platbase": sys.base_prefix}
    paths = [*sys.path, sysconfig.get_path("purelib", vars=base)]
    found: dict[str, Component] = {}
    for item in distributions(path=[path for path in paths if path]):
        name = re.sub(r"[-_.]+", "-", item.metadata["Name"]).lower()
        purl = f"pkg:pypi/{name}@{quote(item.version)}"
        found[purl] = component("library", name, item.version, purl, licence(item))
    version = platform.python_version()
    purl = f"pkg:generic/python@{version}"
    return [component("platform", "python", version, purl, "Python-2.0.1"), *found.values()]


def debian_components() -> list[Component]:
    """Return a component per Debian package; none where the base is not Debian's."""
    form = "${binary:Package} ${Version} ${Architecture}\n"
    try:
        done = subprocess.run(
            ["dpkg-query", "--show", "--showformat", form], capture_output=True, text=True
        )
    except FileNotFoundError:
        return []
    found = []
    for line in done.stdout.split("\n")[:-1]:
        name, version, architecture = line.split(" ")
        name = name.partition(":")[0]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
        found.append(component("library", name, version, purl, ""))
    return found


def component(kind: str, name: str, version: str, purl: str, licensed: str) -> Component:
    """Return one CycloneDX component."""
    found: Component = {"type": kind, "bom-ref": purl, "name": name, "version": version}
    if licensed:
        found["licenses"] = [{"license": {"name": licensed}}]
    return found | {"purl": purl}


def bill(image: str) -> dict[str, Any]:
    """Return the bill of this image."""
    parts = sorted([*python_components(), *debian_components()], key=lambda row: row["purl"])
    name, _, tag = image.rpartition(":")
    subject = {"type": "container", "bom-ref": image, "name": name, "version": tag}
    digest = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([subject, parts]))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{digest}",
        "version": 1,
        "metadata": {"component": subject},
        "components": parts,
        "dependencies": [{"ref": image, "dependsOn": [row["bom-ref"] for row in parts]}],
    }


if __name__ == "__main__":
    print(json.dumps(bill(sys.argv[1]), indent=1))
