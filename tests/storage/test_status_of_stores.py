"""``refine-af status`` of a work folder in each kind of store."""

import pytest

from refine_af.cli import main
from refine_af.lineage.status import status_of
from refine_af.storage.journal import open_journal


def test_what_a_killed_stage_left(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    identity = {"stage": "evaluate", "params": {"seed": 1}, "inputs": {}, "code": "1"}
    with open_journal(root, identity) as journal:
        journal.publish("completions-000000000", b"[]")
        (running,) = status_of(root)["journals"]
        assert running["state"] == "running"
    (left,) = status_of(root)["journals"]
    assert (left["stage"], left["state"], left["steps"]) == ("evaluate", "interrupted", 1)
    assert main(["status", root]) == 0
    assert "interrupted, 1 steps kept" in capsys.readouterr().out
