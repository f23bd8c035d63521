"""TeaMs-RL as one DAG (arXiv 2403.08694), on the stages of the first pipeline and three of its own.

::

    check_inputs -> seed_ingest -> train_operator_policy (for the arm learned)
      each arm: evolve_instructions -> dedup_filter -> generate_responses -> score_rewards
                -> train_sft -> evaluate, audit_privacy (with reference_share: also train_sft on
                   rows of other roots, the reference model of the audit)
      start:                                                              evaluate
    report

The arms share seeds, calls, models and settings; only the choice of the operators differs. The arm
``no_evolution`` answers the seeds themselves, as many times as the others try operators. The rules
that drop rewrites stand inside ``evolve_instructions``, where the reviewer's probability and the
parent are known; an instruction alone has nothing else that ``score_rewards`` could score.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refine_af.pipelines.config import REWARD_NAMES, RunConfig
from refine_af.pipelines.refine_af import add_seeds
from refine_af.pipelines.registering import add_registration
from refine_af.pipelines.tasks import Flow, Outputs
from refine_af.runner import find_stage
from refine_af.stages.report import PARTS

PLAIN = "no_evolution"

DESCRIPTION = (
    "Instructions evolved by textual operations that a policy chooses; the arms {arms} and the"
    " start model, compared per task."
)


def tasks(flow: Flow, config: RunConfig) -> None:
    """Add the tasks of the arms that the configuration asks for."""
    checked = flow.add("check_inputs", params=_to_check(config))
    model = {"model_digest": checked["model_digest"]}
    tasks = {"tasks_digest": checked["tasks_digest"]}
    seeds = add_seeds(flow, config, checked)
    last, policy = seeds, None
    if "learned" in config.arms:
        given = {"seeds": seeds["seeds"]}
        last = flow.add("train_operator_policy", inputs=given, params=model, before=seeds)
        policy = last["policy"]
    recorded = [last]
    tuned: dict[str, Outputs] = {}
    evaluated: dict[str, Outputs] = {}
    reference = None
    # uniform first: it sets the zero and the unit of the other arms' rewards
    for arm in sorted(config.arms, key=lambda arm: arm != "uniform"):
        adding = _Arm(flow, arm, config, model, tasks)
        answered, scored = adding.write(seeds, policy if arm == "learned" else None, reference)
        reference = reference or scored["scored"]
        tuned[arm], evaluated[arm], audited = adding.tune(answered, scored)
        recorded += [evaluated[arm], audited]
    start = flow.add("evaluate", "start", params=model | tasks)
    parts = zip(PARTS, (*recorded, start), strict=False)
    reported = flow.add("report", inputs={name: part["records"] for name, part in parts})
    add_registration(flow, config, tuned, evaluated, reported)


def _to_check(config: RunConfig) -> dict[str, Any]:
    evolve = config.stages.get("evolve_instructions", {})
    wanted: dict[str, Any] = {
        "arms": ",".join(config.arms),
        "operators_uri": evolve.get("operators_uri", "builtin:operators"),
    }
    checked = [("field_map", "seed_ingest"), ("instances", "evaluate")]
    checked += [(name, "score_rewards") for name in REWARD_NAMES]
    for name, stage in checked:
        if name in config.stages.get(stage, {}):
            wanted[name] = config.stages[stage][name]
    return wanted


@dataclass(frozen=True)
class _Arm:
    """One arm: what it writes, and the model that it makes of that."""

    flow: Flow
    name: str
    config: RunConfig
    model: Mapping[str, Any]
    tasks: Mapping[str, Any]

    def _add(self, stage: str, label: str = "", **given: Any) -> Outputs:  # noqa: ANN401
        return self.flow.add(stage, f"{self.name} {label}".rstrip(), **given)

    def write(self, seeds: Outputs, policy: Any, reference: Any) -> tuple[Outputs, Outputs]:  # noqa: ANN401
        """Evolve, filter, answer and score; return the answers and the scores.

        Args:
            seeds: Outputs of seed_ingest.
            policy: The learned policy; None for the other arms.
            reference: The rows that set the rewards' zero and unit; None for the first arm.
        """
        evolved = self._add(
            "evolve_instructions",
            inputs={"seeds": seeds["seeds"], "operator_policy": policy},
            params={**self.model, "policy": self.name},
        )
        pool = None if self._keeps_seeds() else seeds["seeds"]
        filtered = self._add(
            "dedup_filter",
            inputs={"candidates": evolved["instructions"], "pool": pool},
            params=self.tasks,
            before=evolved,
        )
        answered = self._add(
            "generate_responses",
            inputs={"instructions": filtered["kept"]},
            params={**self.model, **self._samples()},
            before=filtered,
        )
        scored = self._add(
            "score_rewards",
            inputs={"instances": answered["instances"], "reference": reference},
            params=self.model,
            before=answered,
        )
        return answered, scored

    def tune(self, answered: Outputs, scored: Outputs) -> tuple[Outputs, Outputs, Outputs]:
        """Fine-tune, evaluate and audit; return the outputs of each."""
        tuned = self._add(
            "train_sft",
            inputs={"instances": scored["scored"]},
            params=self.model,
            before=scored,
        )
        adapter = {"adapter": tuned["adapter"]}
        judged = self._add(
            "evaluate", inputs=adapter, params={**self.model, **self.tasks}, before=tuned
        )
        given = {
            "instances": scored["scored"],
            "used": tuned["used"],
            "held_out": answered["held_out"],
            "reference": self._reference(answered),
        }
        audited = self._add("audit_privacy", inputs=adapter | given, params=self.model)
        return tuned, judged, audited

    def _reference(self, answered: Outputs) -> Any:  # noqa: ANN401  an output or None
        """Train the audit's reference model, where rows are set apart for one."""
        if not self._given("generate_responses").get("reference_share"):
            return None
        rows = {"instances": answered["reference_rows"]}
        return self._add("train_sft", "reference", inputs=rows, params=self.model)["adapter"]

    def _given(self, stage: str) -> Mapping[str, Any]:
        return self.config.stages.get(stage, {})

    def _keeps_seeds(self) -> bool:
        """Return whether the seeds are among the arm's candidates."""
        return self.name == PLAIN or bool(self._given("evolve_instructions").get("keep_seeds"))

    def _samples(self) -> dict[str, Any]:
        """Return how often the arm without evolution answers a seed: as often as others try."""
        return {"samples": _steps(self.config)} if self.name == PLAIN else {}


def _steps(config: RunConfig) -> int:
    """Return how often each other arm tries an operator on a seed."""
    fields = find_stage("evolve_instructions").params.model_fields
    given = config.stages.get("evolve_instructions", {})
    steps, passes = (int(given.get(name, fields[name].default)) for name in ("steps", "passes"))
    return min(steps * passes, 64)
