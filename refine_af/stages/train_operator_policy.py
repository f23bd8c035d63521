"""Trains by PPO, on any CPU, a policy that chooses operators for diverse instructions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from refine_af.contracts.errors import DataError
from refine_af.contracts.jsonl import read_rows, write_object, write_rows
from refine_af.contracts.randomness import derive, sample, shuffled
from refine_af.contracts.records import OperatorStep, Seed
from refine_af.contracts.stage import Artifact, Metrics, Resources, Stage, Task
from refine_af.evolve.assembly import (
    BANK_INPUT,
    bank_of,
    finish,
    make_evolver,
    open_engines,
    operators_of,
    roots_of,
)
from refine_af.evolve.params import PolicyParams

if TYPE_CHECKING:
    from refine_af.evolve.bank import Bank
    from refine_af.evolve.frontier import Evolver, Root
    from refine_af.evolve.learner import Learner
    from refine_af.evolve.operators import Operators
    from refine_af.evolve.training import Trained


def run(params: PolicyParams, task: Task) -> Metrics:
    """Make the one-step table, train, test, and write policy, rollouts and curves."""
    from refine_af.evolve.embedding import open_embedding
    from refine_af.evolve.training import TrainingPlan, train

    operators = operators_of(params, task)
    roots = roots_of(params, task)
    play = _replay(task) if "rollouts" in task.inputs else _Live(params, task, operators, roots)
    embedding = open_embedding(params.embedding)
    plan = TrainingPlan(
        operators=len(operators.names),
        stop=params.allow_stop,
        dimension=embedding.dimension,
        seed=params.seed,
        policy_seeds=params.policy_seeds,
        evaluate_every=params.evaluate_every if _held_out(params, len(roots)) else 0,
    )
    table = play.table(operators, params)
    task.progress.say(table["sentence"])

    def on_update(done: int, total: int, numbers: Mapping[str, float]) -> None:
        task.progress.step(
            done, total, "updates", reward=numbers["reward"], entropy=numbers["entropy"]
        )

    trained = train(play, embedding.embed, params, plan, on_update)
    play.finish()
    _write(params, task, operators, trained, play, table)
    return _metrics(trained, table, play.steps)


class _Live:
    """Rollouts by a language model. Every policy starts from the same memory bank."""

    def __init__(
        self,
        params: PolicyParams,
        task: Task,
        operators: "Operators",
        roots: "Sequence[Root]",
    ) -> None:
        from refine_af.evolve.ledger import Ledger

        self._params, self._operators = params, operators
        self.ledger = Ledger()
        self._engines = open_engines(params, task)
        self._bank: Bank = bank_of(params, task)
        count = _held_out(params, len(roots))
        mixed = shuffled(roots, params.seed, "held-out-seeds")
        self._held_out, self._roots = mixed[:count], mixed[count:]
        self._evolvers: dict[int, Evolver] = {}
        self.steps: list[OperatorStep] = []
        self.kept: list[str] = []

    def table(self, operators: "Operators", params: PolicyParams) -> dict[str, Any]:
        """Return the one-step table: every operator once on some seeds."""
        from refine_af.evolve.policies import MixPolicy
        from refine_af.evolve.table import one_step_table

        roots = sample(self._roots, params.table_seeds, params.seed, "table-seeds")
        count = len(operators.names)
        once = params.model_copy(update={"steps": 1})
        for index in range(count if roots else 0):
            policy = MixPolicy(
                "table", [[float(index == other) for other in range(count)]], params.seed
            )
            evolver = self._evolver(self._bank.copy(), once)
            self.steps += evolver.run(roots, policy, phase="table", update=index).steps
        return one_step_table(self.steps, operators.names, params.seed)

    def __call__(
        self, phase: str, policy_seed: int, update: int, learner: "Learner"
    ) -> list[OperatorStep]:
        """Play one rollout, or test on the held-out seeds with a bank and draws of their own."""
        draws = ""
        if phase == "held_out":
            roots, draws = self._held_out, phase
            evolver = self._evolver(self._bank.copy())
        else:
            seed = self._params.seed
            roots = _drawn(self._roots, self._params.episodes, seed, policy_seed, update)
            evolver = self._evolvers.setdefault(policy_seed, self._evolver(self._bank.copy()))
        episode = evolver.run(
            roots,
            _open_policy(learner, self._params),
            phase=phase,
            policy_seed=policy_seed,
            update=update,
            draws=draws,
        )
        self.steps += episode.steps
        if phase == "train":
            self.kept += [row.instruction for row in episode.kept]
        return episode.steps

    def finish(self) -> None:
        """Free the models; as :meth:`JournalledEngine.finish`."""
        finish(self._engines)

    def _evolver(self, bank: "Bank", params: PolicyParams | None = None) -> "Evolver":
        return make_evolver(
            params or self._params,
            self._operators,
            self._engines,
            bank,
            self.ledger,
        )


class _Replayed:
    """Rollouts of an earlier run, so that updates are repeated without a language model."""

    def __init__(self, steps: list[OperatorStep]) -> None:
        from refine_af.evolve.ledger import Ledger

        self.ledger = Ledger()
        self.steps = steps
        self.kept: list[str] = []

    def table(self, operators: "Operators", params: PolicyParams) -> dict[str, Any]:
        """Return the table of the earlier run's rows."""
        from refine_af.evolve.table import one_step_table

        rows = [row for row in self.steps if row.phase == "table"]
        return one_step_table(rows, operators.names, params.seed)

    def __call__(
        self, phase: str, policy_seed: int, update: int, learner: "Learner"
    ) -> list[OperatorStep]:
        """Return the rows of one rollout."""
        key = (phase, policy_seed, update)
        journalled = [row for row in self.steps if (row.phase, row.policy_seed, row.update) == key]
        if phase == "train":
            self.kept += [row.text for row in journalled if row.status == "kept"]
        return journalled

    def finish(self) -> None:
        """Nothing is open."""


def _replay(task: Task) -> _Replayed:
    rows = read_rows(task.inputs["rollouts"], OperatorStep)
    if not rows:
        raise DataError("input 'rollouts' holds no row; leave it out to play anew")
    return _Replayed(rows)


def _held_out(params: PolicyParams, roots: int) -> int:
    return min(params.held_out, roots // 3)


def _drawn(
    roots: "Sequence[Root]", count: int, seed: int, policy_seed: int, update: int
) -> "list[Root]":
    """Return ``count`` roots, each anew where there are fewer than that."""
    drawn: list[Root] = []
    while len(drawn) < count:
        key = (policy_seed, update, len(drawn))
        drawn += sample(roots, count - len(drawn), seed, "episode-seeds", *key)
    return drawn


def _open_policy(learner: "Learner", params: PolicyParams) -> Any:  # noqa: ANN401
    from refine_af.evolve.policies import TrainedPolicy
    from refine_af.evolve.state import encode

    def shares(states: Any, vectors: Any) -> Any:  # noqa: ANN401  see policies.Probabilities
        count = learner.operators
        seen = encode(states, vectors, count, params.steps, text=params.text)
        return learner.probabilities(seen)

    return TrainedPolicy("learning", shares, derive(params.seed, "operator-draws"), 0.0)


def _write(
    params: PolicyParams,
    task: Task,
    operators: "Operators",
    trained: "Trained",
    play: _Live | _Replayed,
    table: dict[str, Any],
) -> None:
    from refine_af.evolve.assembly import write_bank
    from refine_af.evolve.embedding import open_embedding
    from refine_af.evolve.trained import save_policy

    embedding = open_embedding(params.embedding)
    facts = {
        "operators": list(operators.names),
        "operators_digest": operators.digest,
        "embedding": embedding.name,
        "dimension": embedding.dimension,
        "steps": params.steps,
        "hidden": params.hidden,
        "text": params.text,
        "stop": params.allow_stop,
        "model": params.model,
        "policy_seed": trained.policy_seed,
        "update": trained.update,
    }
    save_policy(task.outputs["policy"], trained.learner.network, facts)
    write_rows(task.outputs["trace"], play.steps)
    write_rows(task.outputs["curve"], trained.curve)
    write_bank(task.outputs["bank_out"], task.inputs.get("bank"), play.kept)
    write_object(task.outputs["table"], table)
    write_object(task.outputs["ledger"], play.ledger.dump())


def _metrics(trained: "Trained", table: dict[str, Any], steps: Sequence[OperatorStep]) -> Metrics:
    metrics: Metrics = {
        "steps": len(steps),
        "policy_seed": trained.policy_seed,
        "update": trained.update,
    }
    tests = [row for row in trained.curve if row["phase"] == "held_out"]
    if trained.held_out is not None:
        first = [row["reward"] for row in tests if row["update"] == 0]
        metrics["held_out_reward_untrained"] = sum(first) / len(first)
        metrics["held_out_reward"] = trained.held_out
    for name in ("best_fixed_over_uniform", "best_by_cluster_over_best_fixed"):
        if table[name] is not None:
            metrics[name] = table[name]["value"]
    return metrics


STAGE = Stage(
    name="train_operator_policy",
    summary="Learn by PPO which textual operation to apply to an instruction next.",
    params=PolicyParams,
    run=run,
    inputs=(
        Artifact("seeds", "rows", "Seed tasks to practise on.", record=Seed),
        BANK_INPUT,
        Artifact(
            "rollouts",
            "rows",
            "Steps of an earlier run with the same parameters: repeats its updates, no model runs.",
            optional=True,
        ),
    ),
    outputs=(
        Artifact("policy", "folder", "Weights as safetensors, and what they belong to."),
        Artifact(
            "trace",
            "rows",
            "Every operation tried: what was seen, chosen and earned.",
            record=OperatorStep,
            shown=True,
        ),
        Artifact("curve", "rows", "Numbers per update and per test on held-out seeds.", shown=True),
        Artifact(
            "table",
            "json",
            "Seeds by operators after one step, and whether learning pays.",
            shown=True,
        ),
        Artifact("ledger", "json", "Calls and tokens per role and phase.", shown=True),
        Artifact("bank_out", "rows", "The memory bank with what training wrote."),
    ),
    image="vllm",
    resources=Resources(cpu="4", memory="16Gi", gpu=True),
    source="TeaMs-RL (arXiv 2403.08694). Its code sees the last operator alone, by TRPO; this"
    " policy reads the text, by PPO, and counts every call.",
)
