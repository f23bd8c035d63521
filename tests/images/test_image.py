"""What each image is: no entry point, a numeric user, labels, small, repeatable, described."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from docker_engine import NAMES, ROOT, built_images, docker

from refine_af import __version__

pytestmark = pytest.mark.docker

LOCKED_DOWN = ("--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")  # noqa: S108
EXECUTABLE_TMP = tuple("/tmp:exec" if word == "/tmp" else word for word in LOCKED_DOWN)  # noqa: S108
BAR = 200e6  # bytes of core above its base


@pytest.mark.short
@pytest.mark.parametrize("name", NAMES)
def test_the_command_is_the_callers_and_the_user_a_number(name: str) -> None:
    images = built_images()
    config = images[name]["Config"]
    assert not config["Entrypoint"]  # else KFP's Docker runner starts it instead of the stage
    user, _, group = config["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    labels = config["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == name
    assert labels[f"{prefix}version"] == __version__
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert {f"{prefix}source", f"{prefix}revision", f"{prefix}description"} <= set(labels)


@pytest.mark.short
def test_core_is_small() -> None:
    images = built_images()
    base = json.loads(docker("image", "inspect", "python:3.11-slim").stdout)[0]
    assert images["refine-af-core"]["Size"] - base["Size"] <= BAR


def test_stages_share_their_bases_layers() -> None:
    images = built_images()
    base = images["refine-af-train"]["RootFS"]["Layers"]
    assert images["refine-af-train_ppo"]["RootFS"]["Layers"][: len(base)] == base


@pytest.mark.short
@pytest.mark.parametrize("name", NAMES)
def test_every_image_has_a_bill_of_materials(name: str) -> None:
    images = built_images()
    bill = json.loads((ROOT / "build" / "sbom" / f"{name}.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    found = {row["purl"].partition("@")[0]: row for row in bill["components"]}
    assert found["pkg:pypi/refine-af"]["version"] == __version__
    assert found["pkg:pypi/numpy"]["licenses"]
    assert "pkg:deb/debian/libc6" in found
    assert ("pkg:pypi/torch" in found) == (images[name]["Size"] > 1e9)
    assert len({row["bom-ref"] for row in bill["components"]}) == len(bill["components"])


@pytest.mark.short
def test_nothing_is_written_outside_tmp_by_a_stage_of_anyones(tmp_path: Path) -> None:
    """The README's command by hand: not root, nothing writable but /tmp and the mounted folder."""
    images = built_images()
    rows = [{"instruction": text} for text in ("Name a colour.", "Name a colour!", "Add 2 and 3.")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tmp_path.chmod(0o777)
    image = f"refine-af-dedup_filter:{__version__}"
    files = ("--candidates", "rows.jsonl", "--kept", "kept.jsonl", "--rejected", "rejected.jsonl")
    mount = ("--volume", f"{tmp_path}:/data", "--workdir", "/data")
    docker("run", *LOCKED_DOWN, *mount, image, "refine-af", "dedup-filter", *files)
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert kept == [rows[0], rows[2]]
    assert (tmp_path / "kept.jsonl").stat().st_uid == int(
        images["refine-af-dedup_filter"]["Config"]["User"].partition(":")[0]
    )


def test_any_other_user_may_run_it() -> None:
    built_images()
    image = f"refine-af-train_sft:{__version__}"
    say = "import torch, trl, getpass; print(getpass.getuser())"
    done = docker("run", *LOCKED_DOWN, "--user", "12345:0", image, "python", "-c", say)
    assert done.stdout.strip().endswith("refine-af")


def test_two_builds_from_nothing_have_the_same_layers(tmp_path: Path) -> None:
    """Of core: a layer's digest covers every byte, name, owner and time in it."""
    images = built_images()
    command = [sys.executable, "images/build.py", "--only", "report", "--tag", "again"]
    command += ["--bills", str(tmp_path), "--no-cache"]
    subprocess.run(command, cwd=ROOT, check=True)
    again = json.loads(docker("image", "inspect", "refine-af-core:again").stdout)[0]
    docker("image", "rm", "refine-af-core:again", "refine-af-report:again")
    assert again["RootFS"]["Layers"] == images["refine-af-core"]["RootFS"]["Layers"]


def test_parquet_seeds_are_read_in_the_image_of_their_stage(tmp_path: Path) -> None:
    built_images()
    import pyarrow
    import pyarrow.parquet

    text = (ROOT / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.split("\n") if line]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "seeds.parquet")
    tmp_path.chmod(0o777)
    mount = ("--volume", f"{tmp_path}:/data", "--workdir", "/data")
    image = f"refine-af-seed_ingest:{__version__}"
    options = ("--seeds-uri", "/data/seeds.parquet", "--seeds", "seeds.jsonl")
    docker("run", *LOCKED_DOWN, *mount, image, "refine-af", "seed-ingest", *options)
    assert len((tmp_path / "seeds.jsonl").read_text(encoding="utf-8").splitlines()) == len(rows)


def test_vllm_writes_instructions_in_its_image(tmp_path: Path) -> None:
    """The real vLLM on the fixture model, locked down like a pod."""
    built_images()
    tmp_path.chmod(0o777)
    mount = ("--volume", f"{tmp_path}:/data", "--workdir", "/data")
    image = f"refine-af-generate_instructions:{__version__}"
    outputs = ("instructions", "rejected", "rounds", "calls", "telemetry")
    options = [word for name in outputs for word in (f"--{name}", name)]
    options += ["--model", "builtin:fixture", "--engine", "vllm", "--max-model-len", "2048"]
    options += ["--target", "4", "--round-size", "4", "--max-requests", "4", "--max-tokens", "32"]
    ingest = "refine-af seed-ingest --seeds seeds"
    generate = shlex.join(["refine-af", "generate-instructions", "--seeds", "seeds", *options])
    docker("run", *EXECUTABLE_TMP, *mount, image, "sh", "-c", f"{ingest} && {generate}")
    assert json.loads((tmp_path / "telemetry").read_text())["engine"]["engine"] == "vllm"
    assert len((tmp_path / "calls").read_text().splitlines()) == 4
