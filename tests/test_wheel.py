"""The wheel works where people use it: in a folder with packages of the same names."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOREIGN = ("pipelines", "components", "seeds", "tests")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the wheel would install."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder of a team that has packages with our folders' names."""
    for name in FOREIGN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not refine-af')\n")
    return tmp_path


def refine_af(site: Path, project: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "refine_af", *words],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_one_package_with_licence_types_and_seeds(site: Path) -> None:
    (info,) = site.glob("*.dist-info")
    assert sorted(path.name for path in site.iterdir()) == ["refine_af", info.name]
    assert "Apache License" in (info / "licenses" / "LICENSE").read_text(encoding="utf-8")
    for name in ("py.typed", "builtin/seed_tasks.jsonl", "pipelines/presets/quickstart.yaml"):
        assert (site / "refine_af" / name).is_file(), name


def test_a_pipeline_runs_from_the_wheel_beside_foreign_packages(site: Path, project: Path) -> None:
    where = "import refine_af; print(refine_af.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", where],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.startswith(str(site))
    refine_af(site, project, "run", "--preset", "smoke", "--output-dir", "out")
    assert (project / "out" / "report.html").is_file()
    refine_af(site, project, "compile", "--preset", "quickstart", "-o", "pipeline.yaml")
    assert (project / "pipeline.yaml").is_file()


def test_a_run_without_its_libraries_is_refused_at_once_with_the_line_to_type(
    site: Path, project: Path
) -> None:
    hidden = project / "hidden"
    hidden.mkdir()
    hide = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'torch', 'trl'}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    (hidden / "sitecustomize.py").write_text(hide)
    done = subprocess.run(
        [sys.executable, "-m", "refine_af", "run", "--preset", "smoke", "--output-dir", "out"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": f"{hidden}{os.pathsep}{site}"},
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = "needs torch, trl, not installed here; type: pip install 'refine-af[local]'"
    assert wanted in done.stderr
    assert done.returncode > 0
    assert not (project / "out").exists()
