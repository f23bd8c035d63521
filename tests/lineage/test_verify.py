"""``refine-af verify``: a byte altered anywhere is found, with and without a fresh list."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from made_folder import shared_folder
from reading import rows

from refine_af.cli import main
from refine_af.lineage.digest_list import LIST, write_digest_list
from refine_af.lineage.verify import verify_run


@pytest.fixture
def made() -> Path:
    return shared_folder()


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def problems(run: Path) -> list[str]:
    return list(verify_run(run).problems)


def test_a_whole_run_has_no_problem(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made)]) == 0
    shown = capsys.readouterr().out
    assert "not covered: the seeds' source" in shown
    found = verify_run(made)
    assert found.problems == ()
    assert found.files == sum(path.is_file() for path in made.rglob("*")) - 1
    assert found.links == 13
    assert verify_run(made, found.digest).problems == ()
    assert verify_run(made, "0" * 64).problems


def test_other_tools_read_the_list(made: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", LIST], cwd=made, check=False)
    assert done.returncode == 0


def test_one_bit_in_any_file_is_found(run: Path) -> None:
    altered = []
    for path in sorted(run.rglob("*")):
        read_by_the_check = path.suffix == ".json" or path.name in ("provenance", LIST)
        if path.is_file() and path.stat().st_size and not read_by_the_check:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
            altered.append(path.relative_to(run).as_posix())
    found = problems(run)
    assert len(altered) > 30
    assert [name for name in altered if f"{name}: altered" not in found] == []


@pytest.mark.parametrize("name", ["run.json", "artifacts/seed_ingest/provenance", LIST])
def test_files_that_the_check_itself_reads(run: Path, name: str) -> None:
    data = bytearray((run / name).read_bytes())
    data[len(data) // 3] ^= 1
    (run / name).write_bytes(data)
    assert main(["verify", str(run)]) == 65


def test_missing_and_foreign_files(run: Path) -> None:
    (run / "artifacts" / "train_ppo" / "episodes").unlink()
    (run / "artifacts" / "train_ppo" / ".hidden").write_text("x")
    (run / "artifacts" / "report").mkdir()
    (run / "artifacts" / "report" / "link").symlink_to("/etc/passwd")
    found = problems(run)
    assert "artifacts/train_ppo/episodes: missing" in found
    assert "artifacts/train_ppo/.hidden: foreign, not in the list" in found
    assert "artifacts/report/link: foreign, not in the list" in found


def test_a_link_to_the_same_bytes_is_no_artifact(run: Path, tmp_path: Path) -> None:
    path = run / "artifacts" / "train_ppo" / "episodes"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "artifacts/train_ppo/episodes: a link or no file" in problems(run)


def test_an_altered_artifact_with_a_list_made_anew_breaks_the_chain(run: Path) -> None:
    path = run / "artifacts" / "train_sft-rl" / "adapter" / "adapter_model.safetensors"
    path.write_bytes(b"other weights")
    write_digest_list(run)
    (problem,) = problems(run)
    assert problem.startswith("evaluate-rl: it read the input adapter with sha256")


def test_a_row_that_was_reworded_does_not_fit_its_id(run: Path) -> None:
    path = run / "artifacts" / "score_rewards-baseline" / "scored"
    first, *others = rows(path)
    first["output"] = "Something else."
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in (first, *others)]
    path.write_text("".join(lines), encoding="utf-8")
    write_digest_list(run)
    assert any(first["id"] in problem and "makes the id" in problem for problem in problems(run))


def test_a_row_that_was_taken_away_is_missed_by_its_children(run: Path) -> None:
    path = run / "artifacts" / "generate_instructions" / "instructions"
    lines = path.read_text(encoding="utf-8").split("\n")
    gone = json.loads(lines[0])["id"]
    path.write_text("\n".join(lines[1:]), encoding="utf-8")
    write_digest_list(run)
    assert any(f"its parent {gone} is not in the run" in problem for problem in problems(run))
