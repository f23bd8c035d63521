"""A run's folder of any size with a made writer: real filters, ids and digests, no model."""

import atexit
import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from refine_af.calls.record import model_call
from refine_af.contracts.jsonl import read_rows, write_rows
from refine_af.contracts.records import Instance, Instruction, ModelCall, Prediction, Rejected, Seed
from refine_af.engines.text import Completion, Request, Sampling
from refine_af.identity import code_version
from refine_af.lineage.digest_list import write_digest_list
from refine_af.runner import find_stage, run_stage
from refine_af.self_instruct.bootstrap import Bootstrap
from refine_af.self_instruct.params import BootstrapParams
from refine_af.stages.generate_instructions import Found, write_found
from refine_af.storage.entry import Identity
from refine_af.storage.manifest import digest_path

ARMS = ("baseline", "rl")
WORDS = [f"{first}{second}" for first in "bcdfghjklmnprstvwz" for second in ("a", "ela", "ino")]
WORDS = [one + two for one in WORDS for two in WORDS]
SAMPLING = Sampling(max_tokens=100, temperature=0.7, stop=("\n\n",))


@cache
def shared_folder() -> Path:
    """A finished run of 150 instructions, made once; tests that change it take a copy."""
    folder = tempfile.TemporaryDirectory(prefix="refine-af-made-run-")
    atexit.register(folder.cleanup)
    return made_folder(Path(folder.name), rows=150)


def made_folder(folder: Path, rows: int, evaluation: int = 40) -> Path:
    """Write a finished run with about ``rows`` instructions and ``evaluation`` questions."""
    artifacts = folder / "artifacts"
    seeds = artifacts / "seed_ingest" / "seeds"
    run_in("seed_ingest", artifacts / "seed_ingest", {})
    written = artifacts / "generate_instructions"
    _instructions(written, seeds, rows)
    filtered = artifacts / "dedup_filter"
    run_in("dedup_filter", filtered, {"candidates": written / "instructions", "pool": seeds})
    kept = read_rows(filtered / "kept", Instruction)
    _episodes(artifacts / "train_ppo", filtered / "kept", kept)
    for arm in ARMS:
        _arm(artifacts, arm, filtered / "kept", kept, evaluation)
    config = {"config": {"parameters": {"seed": 1}}, "tasks": []}
    (folder / "run.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    write_digest_list(folder)
    return folder


def run_in(stage: str, place: Path, inputs: Mapping[str, Path]) -> None:
    names = [item.name for item in find_stage(stage).outputs] + ["metrics", "provenance"]
    run_stage(
        stage,
        inputs={name: str(path) for name, path in inputs.items()},
        outputs={name: str(place / name) for name in names},
        params={},
    )


def describe(
    place: Path, inputs: Mapping[str, Path], values: Mapping[str, str | float] | None = None
) -> None:
    stage = find_stage(place.name.partition("-")[0])
    params = stage.params(**dict(values or {})).method_values()
    digests = {name: digest_path(path) for name, path in sorted(inputs.items())}
    identity = Identity(stage.name, params, digests, code_version())
    (place / "provenance").write_bytes(identity.dump() + b"\n")
    (place / "metrics").write_text("{}\n", encoding="utf-8")


def _rows(place: Path, name: str, rows: Iterable[BaseModel | dict[str, Any]]) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    write_rows(place / name, rows)
    return place / name


def sentence(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words)).capitalize() + "."


def _pieces(draw: random.Random, earlier: list[str]) -> Iterator[str]:
    for _ in range(8):
        kind = draw.random()
        text = sentence(draw, draw.randint(6, 24))
        if kind < 0.1 and earlier:
            text = f"{draw.choice(earlier[-500:])} Now."
        elif kind < 0.15:
            text = "Too short."
        earlier.append(text)
        yield text


def _instructions(place: Path, seeds: Path, rows: int) -> None:
    place.mkdir(parents=True)
    bootstrap = Bootstrap(read_rows(seeds, Seed), BootstrapParams(target=rows))
    draw, found, earlier = random.Random(5), Found(), list[str]()
    calls: list[ModelCall] = []
    while bootstrap.end is None:
        requests = bootstrap.next_requests()
        answers = [_answer(request, list(_pieces(draw, earlier))) for request in requests]
        shown = bootstrap.shown
        calls += [
            model_call(request, parents, SAMPLING, answer)
            for request, parents, answer in zip(requests, shown, answers, strict=True)
        ]
        found.take(answers, bootstrap.consume(answers))
    found.calls = calls
    names = ("instructions", "rejected", "rounds", "calls")
    write_found(found, bootstrap.requests, {name: place / name for name in names})
    describe(place, {"seeds": seeds}, {"target": rows})


def _answer(request: Request, pieces: Sequence[str]) -> Completion:
    first, *others = pieces
    text = "\n".join([f" {first}", *(f"{9 + n}. {text}" for n, text in enumerate(others))])
    return Completion(request.id, text, "stop", 250, 100)


def _episodes(place: Path, source: Path, kept: Sequence[Instruction]) -> None:
    draw = random.Random(6)
    rows = [
        {
            "update": 1 + number // 64,
            "place": number % 64,
            "prompt_id": kept[number % len(kept)].id,
            "action": f"Input: {sentence(draw, 4)}\nOutput: {sentence(draw, 8)}",
            "finish": "stop",
            "tokens": 30,
            "total": draw.random(),
            "parts": {"naturalness": draw.random()},
            "parseable": True,
            "kl": 0.1,
            "advantage": draw.gauss(0, 1),
            "seed": number,
        }
        for number in range(min(2 * len(kept), 12_000))
    ]
    _rows(place, "episodes", rows)
    (place / "adapter").mkdir()
    (place / "adapter" / "adapter_model.safetensors").write_bytes(draw.randbytes(2000))
    describe(place, {"instructions": source})


def _arm(
    artifacts: Path, arm: str, source: Path, kept: Sequence[Instruction], evaluation: int
) -> None:
    draw = random.Random(f"arm {arm}")
    place = artifacts / f"generate_instances-{arm}"
    instances, calls, dropped = [], [], []
    for row in kept:
        given, output = sentence(draw, 5), sentence(draw, 12)
        answer = Completion(f"{row.id}/0", f"Input: {given}\nOutput: {output}", "stop", 40, 30)
        request = Request(answer.id, f"Instruction: {row.instruction}", draw.getrandbits(63))
        calls.append(model_call(request, (row.id,), SAMPLING, answer))
        if draw.random() < 0.02:
            refusal = Rejected.make(
                "generate_instances", "empty_output", given, (row.id,), request=answer.id
            )
            dropped.append(refusal)
            continue
        texts = (row.id, row.instruction, given, output)
        instances.append(Instance.make(*texts, is_classification=False, sample=0))
    _rows(place, "instances", instances)
    _rows(place, "rejected", dropped)
    _rows(place, "calls", calls)
    adapter = {"adapter": artifacts / "train_ppo" / "adapter"} if arm == "rl" else {}
    describe(place, {"instructions": source, **adapter})
    _judged(artifacts, arm, place / "instances", instances, evaluation, draw)


def _judged(
    artifacts: Path,
    arm: str,
    source: Path,
    instances: Sequence[Instance],
    evaluation: int,
    draw: random.Random,
) -> None:
    place = artifacts / f"score_rewards-{arm}"
    scored = [
        row.model_copy(update={"total": draw.gauss(0, 1), "parts": {"naturalness": draw.random()}})
        for row in instances
    ]
    _rows(place, "scored", scored)
    _rows(place, "rejected", [])
    describe(place, {"instances": source})
    tuned = artifacts / f"train_sft-{arm}"
    used = [
        {
            "id": row.id,
            "parents": list(row.parents),
            "source": "instance",
            "tokens": 60,
            "completion_tokens": 20,
            "cut": number % 50 == 7,
            "reason": "too_long" if number % 50 == 7 else "",
        }
        for number, row in enumerate(instances)
    ]
    _rows(tuned, "used", used)
    (tuned / "adapter").mkdir()
    (tuned / "adapter" / "adapter_model.safetensors").write_bytes(draw.randbytes(2000))
    describe(tuned, {"instances": place / "scored"})
    judged = artifacts / f"evaluate-{arm}"
    questions = random.Random(9)
    _rows(judged, "predictions", (prediction(questions, n) for n in range(evaluation)))
    describe(judged, {"adapter": tuned / "adapter"})


def prediction(draw: random.Random, number: int) -> Prediction:
    return Prediction(
        id=f"pred-{number}",
        task=f"task{number // 100}",
        category="made",
        instance=str(number),
        prediction=sentence(draw, 6),
        references=(sentence(draw, 6),),
        rouge_l=0.5,
        exact_match=0.0,
        input=sentence(draw, 30),
    )
