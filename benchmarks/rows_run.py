"""A finished run of any number of instructions, written row by row, as ``rows.py`` measures it.

Two arms. The texts are those of ``made_rows.py``; 49 of 50 instructions are said to be kept and one
to repeat another, 19 of 20 instances to be scored. Ids, parents and digests are real, so ``verify``
finds nothing wrong.
"""

import json
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from made_folder import describe, prediction, run_in
from made_rows import made_rows
from pydantic import BaseModel

from refine_af.calls.record import model_call
from refine_af.contracts.jsonl import dump_line, iter_rows, write_rows
from refine_af.contracts.records import Instance, Instruction, Rejected
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.lineage.digest_list import write_digest_list

PIECES = 8
ARMS = ("rl", "baseline")
SAMPLING = Sampling(max_tokens=1000, temperature=0.7, stop=("\n\n",))
EPISODES = 12_000
UNTRAINED = {"parseable": True, "kl": 0.1, "advantage": 0.0}
EVALUATION = 1_000


def write_run(data: Path, folder: Path, rows: int) -> None:
    """Write a run of ``rows`` instructions below ``folder``; ``data`` is the shared data's."""
    artifacts = folder / "artifacts"
    run_in("seed_ingest", artifacts / "seed_ingest", {})
    seeds = artifacts / "seed_ingest" / "seeds"
    written = artifacts / "generate_instructions"
    _instructions(written, seeds, made_rows(data / "dedup" / "instructions_20k.jsonl.gz", rows))
    filtered = artifacts / "dedup_filter"
    _filtered(filtered, written / "instructions")
    describe(filtered, {"candidates": written / "instructions", "pool": seeds})
    _episodes(artifacts / "train_ppo", filtered / "kept")
    for arm in ARMS:
        _arm(artifacts, arm, filtered / "kept")
    config = {"config": {"parameters": {"seed": 1}}, "tasks": []}
    (folder / "run.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    write_digest_list(folder)


class _Sinks:
    """The files of one task, which rows are appended to."""

    def __init__(self, folder: Path, *names: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {name: (folder / name).open("w", encoding="utf-8") for name in names}

    def __enter__(self) -> "_Sinks":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, name: str, *rows: BaseModel | dict[str, Any]) -> None:
        self._files[name].writelines(map(dump_line, rows))


def _instructions(folder: Path, seeds: Path, texts: Iterator[str]) -> None:
    draw = random.Random(5)
    shown = [json.loads(line)["id"] for line in seeds.read_text(encoding="utf-8").splitlines()]
    with _Sinks(folder, "instructions", "rejected", "rounds", "calls") as sinks:
        number = 0
        while pieces := list(islice(texts, PIECES)):
            parents = tuple(draw.sample(shown, PIECES))
            lines = [f" {pieces[0]}", *(f"{9 + n}. {text}" for n, text in enumerate(pieces[1:]))]
            answer = Completion(f"shard-0-request-{number}", "\n".join(lines), "stop", 250, 100)
            request = Request(answer.id, " ".join(parents), draw.getrandbits(63))
            sinks.add("calls", model_call(request, parents, SAMPLING, answer))
            kept = [
                Instruction.make(text, parents, number, position, 0)
                for position, text in enumerate(pieces)
            ]
            sinks.add("instructions", *kept)
            shown = [*shown[-500:], *(row.id for row in kept)]
            count = {"requested": 1, "returned": 1, "parsed": len(pieces), "kept": len(pieces)}
            sinks.add("rounds", {"round": number} | count)
            number += 1
    describe(folder, {"seeds": seeds})


def _filtered(folder: Path, source: Path) -> None:
    with _Sinks(folder, "kept", "rejected") as sinks:
        before = ""
        for number, row in enumerate(iter_rows(source, Instruction)):
            if number % 50 != 49:
                sinks.add("kept", row)
                before = row.id
                continue
            facts: dict[str, Any] = {"key": f"1:{number + 1}", "neighbour": before, "score": 0.75}
            refusal = Rejected.make("dedup_filter", "similar", row.instruction, (row.id,), **facts)
            sinks.add("rejected", refusal.model_dump(mode="json") | {"row": row.model_dump()})


def _episodes(folder: Path, kept: Path) -> None:
    draw = random.Random(6)
    with _Sinks(folder, "episodes") as sinks:
        for number, row in enumerate(islice(iter_rows(kept, Instruction), EPISODES)):
            facts = {"update": 1 + number // 64, "place": number % 64, "prompt_id": row.id}
            said = {"action": f"Output: {row.instruction}", "finish": "stop", "tokens": 30}
            numbers = {"total": draw.random(), "parts": {"naturalness": draw.random()}}
            sinks.add("episodes", facts | said | numbers | UNTRAINED | {"seed": number})
    _adapter(folder, draw)
    describe(folder, {"instructions": kept})


def _arm(artifacts: Path, arm: str, kept: Path) -> None:
    draw = random.Random(f"arm {arm}")
    written = artifacts / f"generate_instances-{arm}"
    judged = artifacts / f"score_rewards-{arm}"
    tuned = artifacts / f"train_sft-{arm}"
    with (
        _Sinks(written, "instances", "rejected", "calls") as made,
        _Sinks(judged, "scored", "rejected") as scored,
        _Sinks(tuned, "used") as used,
    ):
        for number, row in enumerate(iter_rows(kept, Instruction)):
            words = row.instruction.split()
            draw.shuffle(words)
            texts = (row.id, row.instruction, "", " ".join(words))
            instance = Instance.make(*texts, is_classification=False, sample=0)
            made.add("instances", instance)
            parts = {"naturalness": draw.random()}
            instance = instance.model_copy(update={"total": draw.gauss(0, 1), "parts": parts})
            if number % 20 == 19:
                facts: dict[str, Any] = {"score": instance.total, "detail": "made"}
                text = instance.output
                dropped = ("score_rewards", "below_threshold", text, (instance.id,))
                scored.add("rejected", Rejected.make(*dropped, **facts))
                continue
            scored.add("scored", instance)
            own: dict[str, Any] = {"id": instance.id, "parents": [row.id], "source": "instance"}
            own |= {"tokens": 60, "completion_tokens": 20, "cut": False, "reason": ""}
            used.add("used", own)
    _adapter(tuned, draw)
    adapter = {"adapter": artifacts / "train_ppo" / "adapter"} if arm == "rl" else {}
    describe(written, {"instructions": kept, **adapter})
    describe(judged, {"instances": written / "instances"})
    describe(tuned, {"instances": judged / "scored"})
    answered = artifacts / f"evaluate-{arm}"
    answered.mkdir()
    write_rows(answered / "predictions", _predictions())
    describe(answered, {"adapter": tuned / "adapter"})


def _predictions() -> Iterable[BaseModel]:
    draw = random.Random(9)
    return (prediction(draw, number) for number in range(EVALUATION))


def _adapter(folder: Path, draw: random.Random) -> None:
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(draw.randbytes(2000))
