"""What processes of one training do once, and how long they wait for each other."""

from collections.abc import Mapping

import pytest

from refine_af.processes.group import PATIENCE, Processes


def test_a_model_is_downloaded_once_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process fetched it into one folder and replaced it while another read."""
    all_rows: dict[int, str] = {}
    downloads: list[int] = []

    def gathered(_: Processes, mine: Mapping[int, str]) -> dict[int, str]:
        all_rows.update(mine)
        return dict(all_rows)

    monkeypatch.setattr(Processes, "gathered", gathered)

    def download(process: Processes) -> str:
        downloads.append(process.rank)
        return f"folder of node {process.node}"

    found = []
    for rank in range(4):
        process = Processes(rank, count=4, node=rank // 2, local_rank=rank % 2)
        found.append(process.once_per_node(lambda process=process: download(process)))  # type: ignore[misc]
    assert downloads == [0, 2]
    assert found == ["folder of node 0"] * 2 + ["folder of node 1"] * 2


def test_a_process_waits_longer_than_a_large_download_takes() -> None:
    # 26 GB at 5 MB a second are an hour and a half; NCCL's own limit is ten minutes
    assert PATIENCE.total_seconds() > 26e9 / 5e6
