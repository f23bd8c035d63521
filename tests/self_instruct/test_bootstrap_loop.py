import random
from collections.abc import Callable, Sequence

import pytest
from rouge_score.rouge_scorer import RougeScorer

from refine_af.contracts.errors import DataError, ParameterError
from refine_af.contracts.records import Instruction, Pair, Rejected, Seed
from refine_af.engines.text import Completion, Request
from refine_af.self_instruct.bootstrap import Bootstrap
from refine_af.self_instruct.params import BootstrapParams

SETTINGS = BootstrapParams(seed=1, target=60, round_size=4, max_empty_rounds=20)


def changed(**values: int) -> BootstrapParams:
    return BootstrapParams.parse(SETTINGS.model_dump() | values)


WORDS = [
    "river",
    "lamp",
    "sort",
    "name",
    "the",
    "of",
    "cold",
    "ship",
    "wheel",
    "moss",
    "under",
    "song",
]

Model = Callable[[Request], Completion]


def seeds(count: int = 12) -> list[Seed]:
    pairs = (Pair(input="", output="x"),)
    texts = [f"Seed task {number} about {WORDS[number]}:" for number in range(count)]
    return [Seed.make(f"s{n}", "", text, pairs, False, "x") for n, text in enumerate(texts)]


def inventive(request: Request) -> Completion:
    """Answer with three items that depend on the request's seed alone."""
    draw = random.Random(request.seed)
    items = [" ".join(draw.choice(WORDS) for _ in range(6)) for _ in range(3)]
    return Completion(request.id, " " + "\n10. ".join(items), "stop", 0, 0)


def stubborn(request: Request) -> Completion:
    return Completion(request.id, "Name the rivers of Spain", "stop", 0, 0)


def run(
    loop: Bootstrap, model: Model, rounds: int = 10_000
) -> tuple[list[Instruction], list[Rejected]]:
    kept: list[Instruction] = []
    rejected: list[Rejected] = []
    while rounds and (requests := loop.next_requests()):
        result = loop.consume([model(request) for request in requests])
        kept += result.kept
        rejected += result.rejected
        rounds -= 1
    return kept, rejected


def test_first_prompt_shows_seeds_and_later_ones_two_own_instructions() -> None:
    loop = Bootstrap(seeds(), SETTINGS)
    texts = {seed.id: seed.instruction.rstrip(":") for seed in seeds()}
    for request in loop.next_requests():
        items = request.prompt.split("\n")[1:]
        assert items[-1] == "9."
        shown = {item.split(". ", 1)[1] for item in items[:-1]}
        assert len(shown) == 8
        assert shown <= set(texts.values())
    first = loop.consume([inventive(request) for request in loop.next_requests()])
    own = {row.instruction for row in first.kept}
    for request in loop.next_requests():
        shown = {item.split(". ", 1)[1] for item in request.prompt.split("\n")[1:-1]}
        assert len(shown & own) == 2
        assert len(shown) == 8


def test_parents_are_the_rows_shown_in_their_order() -> None:
    loop = Bootstrap(seeds(), SETTINGS)
    texts = {seed.id: seed.instruction.rstrip(":") for seed in seeds()}
    requests = loop.next_requests()
    result = loop.consume([inventive(request) for request in requests])
    for row in result.kept:
        shown = [item.split(". ", 1)[1] for item in requests[row.request].prompt.split("\n")[1:-1]]
        assert [texts[parent] for parent in row.parents] == shown


def test_decisions_equal_the_published_loop() -> None:
    """Compare with everything one by one, in order of request and position, as accepted."""
    scorer = RougeScorer(["rougeL"])
    pool = [seed.instruction for seed in seeds()]
    loop = Bootstrap(seeds(), changed(round_size=7))
    kept: list[str] = []
    while requests := loop.next_requests():
        completions = [inventive(request) for request in requests]
        result = loop.consume(completions)
        expected, dropped = [], 0
        for completion in completions:
            for piece in completion.text.strip().split("\n10. "):
                text = piece[:1].upper() + piece[1:]
                if max(scorer.score(text, old)["rougeL"].fmeasure for old in pool) > 0.7:
                    dropped += 1
                else:
                    pool.append(text)
                    expected.append(text)
        assert [row.instruction for row in result.kept] == expected
        assert len(result.rejected) == dropped
        kept += expected
    assert len(kept) >= 60


def test_rejected_pieces_carry_reason_neighbour_and_parents() -> None:
    loop = Bootstrap(seeds(), changed(round_size=2))

    def model(request: Request) -> Completion:
        text = "Name the rivers of Spain\n10. Draw it\n11. Name the rivers of Spain!"
        return Completion(request.id, text, "stop", 0, 0)

    result = loop.consume([model(request) for request in loop.next_requests()])
    [only] = result.kept
    assert [row.reason for row in result.rejected] == [
        *("too_short", "similar"),
        *("similar", "too_short", "similar"),
    ]
    assert {row.neighbour for row in result.rejected if row.reason == "similar"} == {only.id}
    assert all(len(row.parents) == 8 for row in result.rejected)
    assert len({row.id for row in result.rejected}) == 5


def test_failed_request_is_a_rejected_row() -> None:
    loop = Bootstrap(seeds(), changed(round_size=1))
    [request] = loop.next_requests()
    result = loop.consume([Completion(request.id, "", "error", 0, 0, error="timed out")])
    assert [(row.reason, row.detail) for row in result.rejected] == [("engine_error", "timed out")]


def test_loop_ends_at_the_target_the_cap_or_standstill() -> None:
    loop = Bootstrap(seeds(), SETTINGS)
    kept, _ = run(loop, inventive)
    assert loop.end == "target"
    assert len(kept) == loop.accepted >= 60
    assert loop.acceptance_curve[-1] == len(kept)
    assert loop.acceptance_curve[-2] < 60
    assert loop.next_requests() == []

    loop = Bootstrap(seeds(), changed(max_requests=6))
    run(loop, inventive)
    assert (loop.end, loop.requests, len(loop.acceptance_curve)) == ("max_requests", 6, 2)

    loop = Bootstrap(seeds(), changed(max_empty_rounds=3))
    kept, _ = run(loop, stubborn)
    assert (loop.end, len(kept), loop.acceptance_curve) == ("no_acceptance", 1, [1, 1, 1, 1])


@pytest.mark.parametrize("border", [1, 2, 3])
def test_resumed_loop_goes_on_as_if_never_stopped(border: int) -> None:
    whole_kept, whole_rejected = run(Bootstrap(seeds(), SETTINGS), inventive)
    first = Bootstrap(seeds(), SETTINGS)
    kept, rejected = run(first, inventive, rounds=border)
    second = Bootstrap(seeds(), SETTINGS)
    second.resume(kept, first.requests)
    assert second.acceptance_curve == first.acceptance_curve
    more_kept, more_rejected = run(second, inventive)
    assert (kept + more_kept, rejected + more_rejected) == (whole_kept, whole_rejected)


def test_standstill_is_remembered_across_a_resumption() -> None:
    settings = changed(max_empty_rounds=2)
    first = Bootstrap(seeds(), settings)
    kept, _ = run(first, stubborn, rounds=2)
    second = Bootstrap(seeds(), settings)
    second.resume(kept, first.requests)
    run(second, stubborn)
    assert second.requests == first.requests + settings.round_size


def test_shards_and_seeds_have_streams_of_their_own() -> None:
    def prompts(settings: BootstrapParams) -> list[tuple[str, int]]:
        return [
            (request.prompt, request.seed)
            for request in Bootstrap(seeds(), settings).next_requests()
        ]

    settings = changed(round_size=30)
    assert prompts(settings) == prompts(settings)
    seeds_of = [
        {seed for _, seed in prompts(changed(round_size=30, shard=shard, seed=seed))}
        for shard, seed in [(0, 1), (1, 1), (0, 2)]
    ]
    assert len(set.union(*seeds_of)) == 90
    ids = [
        request.id
        for request in Bootstrap(seeds(), changed(round_size=30, shard=3)).next_requests()
    ]
    assert ids[0] == "shard-3-request-0"


def test_shards_show_different_rows_of_equal_pools() -> None:
    def shown(shard: int) -> set[str]:
        loop = Bootstrap(seeds(), changed(shard=shard, target=1_000, in_context=2))
        texts = [f"{word} {number}" for number, word in enumerate(WORDS)]
        loop.resume(
            [Instruction.make(text, (), 0, place, 0) for place, text in enumerate(texts)], 4
        )
        return {"\n".join(sorted(request.prompt.split("\n"))) for request in loop.next_requests()}

    # Both items are the model's own: nothing but their draw can tell the shards apart.
    assert shown(0) == shown(0)
    assert shown(0).isdisjoint(shown(1))


def test_completions_of_other_requests_are_refused() -> None:
    loop = Bootstrap(seeds(), SETTINGS)
    requests = loop.next_requests()
    answers: Sequence[Completion] = [inventive(request) for request in reversed(requests)]
    with pytest.raises(ValueError, match="in that order"):
        loop.consume(answers)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="7 seeds; a prompt shows 8"):
        Bootstrap(seeds(7), SETTINGS)
    with pytest.raises(ParameterError, match="machine_in_context is 9; it must be at most in_cont"):
        changed(machine_in_context=9)
    with pytest.raises(ParameterError, match="round_size is 0; it must be greater than or equal"):
        changed(round_size=0)
    with pytest.raises(DataError, match="but 0 were made"):
        Bootstrap(seeds(), SETTINGS).resume(
            [Instruction.make("a", (), request=0, position=0, shard=0)], 0
        )
