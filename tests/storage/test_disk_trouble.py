"""A disk that fails under files which the storage layer does not write is no bug of ours."""

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from refine_af.contracts.jsonl import write_rows
from refine_af.contracts.records import Instruction
from refine_af.storage.atomic import disk_trouble


def test_temporary_files_that_do_not_fit(tmp_path: Path) -> None:
    rows = [Instruction.make(f"Write line {n} of a poem.", (), n, 0, 0) for n in range(200)]
    write_rows(tmp_path / "rows", rows)
    command = ["dedup-filter", f"--candidates={tmp_path / 'rows'}", "--max-rouge-l=1"]
    command += [f"--{name}={tmp_path / name}" for name in ("kept", "rejected", "metrics")]
    found = subprocess.run(
        [sys.executable, "-m", "refine_af", *command],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    assert found.returncode == 69
    assert "cannot write: File too large; the file is larger than the limit" in found.stderr
    assert "TMPDIR" in found.stderr
    assert "Traceback" not in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EROFS, "Read-only file system", "out/rows"),
        PermissionError(errno.EACCES, "Permission denied", "out/rows"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_what_is_the_disk_s(error: Exception) -> None:
    found = disk_trouble(error)
    assert found is not None
    assert ": cannot write: " in str(found)
    assert found.retry_can_help


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),  # a socket's
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "rows"),
        KeyError("rows"),
    ],
)
def test_what_is_not(error: Exception) -> None:
    assert disk_trouble(error) is None
