"""Reward presets: rules over named indicators, as data, each with its source and test vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from refine_af.contracts.errors import ParameterError, nearest

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Preset:
    """A linear rule over indicators.

    Attributes:
        name: What the user writes.
        weights: Weight of each indicator; the value is their weighted sum plus ``constant``.
        constant: Added to the sum.
        standardised: Each indicator is first expressed in running standard deviations from its
            running mean, so that weights are comparable across units and spreads.
        source: Where the rule comes from.
        vectors: Pairs of indicator values and the rule's value, for tests; for a standardised
            rule the indicators are the standardised ones.
    """

    name: str
    weights: Weights
    constant: float
    standardised: bool
    source: str
    vectors: tuple[tuple[Weights, float], ...]

    def value(self, parts: Mapping[str, float]) -> float:
        """Return the rule's value; ``parts`` are standardised by the caller where it asks."""
        return sum(weight * parts[name] for name, weight in self.weights.items()) + self.constant

    def without(self, parts: Sequence[str]) -> "Preset":
        """Return the rule with those terms off, for ablations; its vectors no longer apply.

        Raises:
            ParameterError: When a part is not a term of the rule, or none would be left.
        """
        for part in parts:
            if part not in self.weights:
                raise ParameterError(
                    f"reward_drop is {part!r}; preset {self.name} has no such term;"
                    f"{nearest(part, list(self.weights))} its terms: {', '.join(self.weights)}"
                )
        kept = {name: weight for name, weight in self.weights.items() if name not in parts}
        if not kept:
            raise ParameterError(
                f"reward_drop is {', '.join(parts)!r}; preset {self.name} would be empty"
            )
        name = "".join([self.name, *(f"-{part}" for part in sorted(set(parts)))])
        return replace(self, name=name, weights=MappingProxyType(kept), vectors=())


def _weights(**values: float) -> Weights:
    return MappingProxyType(values)


_INSTRUCTMINING_SOURCE = (
    "Cao, Kang, Wang and Sun, InstructMining (arXiv 2307.06290, v2 and later): least squares of"
    " the log loss after fine-tuning, log L = 0.0274 - 0.0078 Rew + 0.4421 Und - 0.3212 Nat"
    " - 0.1520 Coh; the reward is its negation. Fitted on means over data sets of 1,000 rows."
)

PRESETS: tuple[Preset, ...] = (
    Preset(
        name="instructmining",
        weights=_weights(
            reward=0.0078, understandability=-0.4421, naturalness=0.3212, coherence=0.1520
        ),
        constant=-0.0274,
        standardised=False,
        source=_INSTRUCTMINING_SOURCE
        + " Pays for disfluent text where naturalness and understandability agree: run preflight.",
        vectors=(
            (
                _weights(reward=1.0, understandability=0.9, naturalness=0.95, coherence=0.8),
                0.009250,
            ),
            (
                _weights(
                    reward=0.0,
                    understandability=0.946209,
                    naturalness=0.950218,
                    coherence=0.973135,
                ),
                0.007408,
            ),
        ),
    ),
    Preset(
        name="no_und",
        weights=_weights(reward=0.0078, naturalness=0.3212, coherence=0.1520),
        constant=-0.0274,
        standardised=False,
        source=_INSTRUCTMINING_SOURCE + " Project choice: without the understandability term.",
        vectors=((_weights(reward=1.0, naturalness=0.95, coherence=0.8), 0.407140),),
    ),
    Preset(
        name="balanced",
        weights=_weights(reward=1.0, naturalness=1 / 3, coherence=1 / 3, understandability=1 / 3),
        constant=0.0,
        standardised=True,
        source="project choice: z-scored reward model plus the mean of the z-scored UniEval parts",
        vectors=(
            (
                _weights(reward=1.0, naturalness=0.5, coherence=-0.2, understandability=0.3),
                1.2,
            ),
        ),
    ),
    Preset(
        name="reward_model",
        weights=_weights(reward=1.0),
        constant=0.0,
        standardised=False,
        source="the reward model's own scalar (Bradley-Terry logit)",
        vectors=((_weights(reward=-1.25), -1.25),),
    ),
    Preset(
        name="embedded",
        weights=_weights(reward=1.0, coherence=1.0, naturalness=0.5, understandability=0.5),
        constant=0.0,
        standardised=True,
        source=(
            "project choice for builtin:tiny. Area under the curve against the gold answers of the"
            " model's own instances at temperature 1.0, in trained wordings (794 rows) and held-out"
            " ones (776): these weights 0.877 and 0.775; reward and coherence alone 0.877 and"
            " 0.806; naturalness alone 0.779 and 0.624. The two fluency terms cost a little there;"
            " they are a brake on text that leaves what the evaluator was trained on."
        ),
        vectors=(
            (
                _weights(reward=0.5, coherence=-0.25, naturalness=1.0, understandability=-0.5),
                0.5,
            ),
        ),
    ),
    Preset(
        name="pmi",
        weights=_weights(pmi=1.0),
        constant=0.0,
        standardised=False,
        source=(
            "project choice: pointwise mutual information of prompt and answer, nats per token,"
            " under any causal language model (-log of IFD, 2308.12032). Pays for answers that are"
            " cut off: benchmarks/README.md"
        ),
        vectors=((_weights(pmi=1.5), 1.5),),
    ),
    Preset(
        name="pmi_likelihood",
        weights=_weights(pmi=1.0, likelihood=1.0),
        constant=0.0,
        standardised=False,
        source=(
            "project choice: pmi and the mean log-probability of the answer given the prompt, both"
            " nats per token, so that text in a wrong order is not paid for: benchmarks/README.md"
        ),
        vectors=((_weights(pmi=1.5, likelihood=-2.0), -0.5),),
    ),
    Preset(
        name="judge",
        weights=_weights(judge=1.0),
        constant=0.0,
        standardised=False,
        source="the 1 to 5 verdict of an LLM judge",
        vectors=((_weights(judge=4.0), 4.0),),
    ),
)


def preset_names() -> list[str]:
    """Return the names of the presets in the order of :data:`PRESETS`."""
    return [preset.name for preset in PRESETS]


def find_preset(name: str, drop: Sequence[str] = ()) -> Preset:
    """Return a preset by name, with the terms in ``drop`` off.

    ``module:function`` names the user's own reward: the rule is then that one number.

    Raises:
        ParameterError: For an unknown name (with the nearest match) or term.
    """
    for preset in PRESETS:
        if preset.name == name:
            return preset.without(drop) if drop else preset
    if ":" in name:
        part = name.partition(":")[2]
        return Preset(name, _weights(**{part: 1.0}), 0.0, False, f"the user's {name}", ())
    raise ParameterError(
        f"reward is {name!r};{nearest(name, preset_names())} it must be one of:"
        f" {', '.join(preset_names())}, or module:function of your own"
    )
