"""Parameters of the reward: the rule, its scorers' models, normalisation and guards."""

import re

from refine_af.contracts.content import Content, EngineKind
from refine_af.contracts.errors import nearest
from refine_af.contracts.params import Params, listed, param, rule
from refine_af.feedback.presets import Preset, find_preset

EMBEDDED = "builtin:tiny"
SCORER_PARTS: dict[str, tuple[str, ...]] = {
    "embedded": ("naturalness", "coherence", "understandability", "reward"),
    "reward_model": ("reward",),
    "unieval": ("naturalness", "coherence", "understandability"),
    "language_model": ("perplexity", "answer_perplexity", "ifd", "pmi", "likelihood"),
    "judge": ("judge",),
}
"""The packaged scorers and the parts that each measures."""

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_UNIEVAL_OF_OTHER_TASKS = ("unieval-fact", "unieval-intermediate")


class RewardRuleParams(Params):
    """The rule: a preset, perhaps without some terms, and scorers to log beside it."""

    reward: str = param(
        "balanced",
        "instructmining, no_und, balanced, reward_model, embedded, judge, pmi and pmi_likelihood"
        " (by language_model alone), or module:function of your own.",
        source="refine_af/feedback/presets.py names paper and test vectors of each",
        names="code",
    )
    reward_drop: str = param("", "Terms of the preset to switch off, comma separated (ablations).")
    reward_extra: str = param(
        "",
        "Scorers whose parts are kept beside the total, comma separated: embedded, reward_model,"
        " unieval, language_model, judge, module:function.",
        names="code",
    )

    @property
    def preset(self) -> Preset:
        """Return the rule that ``reward`` and ``reward_drop`` name; looked up once.

        Raises:
            ParameterError: For an unknown preset or term, with the nearest match.
        """
        return find_preset(self.reward, listed(self.reward_drop))

    @rule("reward")
    def preset_exists(self) -> str:
        """``reward`` and ``reward_drop`` name a preset and terms of it."""
        return "" if self.preset.weights else "it weighs nothing"

    @rule("reward_extra")
    def extra_scorers_exist(self) -> str:
        """``reward_extra`` names scorers of the package or functions."""
        for name in listed(self.reward_extra):
            if name not in SCORER_PARTS and ":" not in name:
                return (
                    f"unknown scorer {name!r};{nearest(name, list(SCORER_PARTS))} choose from"
                    f" {', '.join(SCORER_PARTS)}, or module:function of your own"
                )
        return ""


class RewardParams(RewardRuleParams):
    """The rule, the models behind its scorers, normalisation and guards."""

    reward_model: str = param(
        "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
        "Reward model, a path or Hub id (org/name@revision); builtin:tiny takes every learned part"
        " from the package.",
        names="model",
    )
    unieval: str = param(
        "MingZhong/unieval-dialog", "UniEval's dialogue evaluator, likewise.", names="model"
    )
    language_model: str = param(
        "openai-community/gpt2", "Of perplexity and IFD, likewise.", names="model"
    )
    judge: str = param(
        "",
        "Model of the part judge, as its engine knows it.",
        names="model",
        opened_by="judge_engine",
    )
    judge_engine: EngineKind = param("openai", "Text engine of the judge.")
    judge_url: str = param("", "Address of the judge's endpoint (openai).", names="endpoint")
    judge_price_per_million_read: float = param(
        0.0,
        "What the judge's endpoint asks for a million tokens that it reads; 0: not known.",
        method=False,
        ge=0.0,
    )
    judge_price_per_million_written: float = param(
        0.0, "Likewise for a million tokens that it writes.", method=False, ge=0.0
    )
    reward_clip: float = param(5.0, "Largest absolute normalised reward.", gt=0.0)
    reward_normalise: bool = param(
        True, "Express the rule's value in running standard deviations from its running mean."
    )
    reward_reference_rows: int = param(
        512,
        "Rows from which a standardised rule takes mean and standard deviation of each part; it"
        " keeps them, so that a drift shows.",
        ge=1,
    )
    reward_margin: float = param(
        0.5, "How far an unparseable output lies below the lowest total so far.", gt=0.0
    )
    guards: bool = param(True, "Penalise outputs that are empty, too long, repetitive or foreign.")
    guard_min_words: int = param(1, "Fewest words of an output.", ge=0)
    guard_max_words: int = param(512, "Most words of an output.", ge=1)
    guard_repetition: float = param(0.5, "Largest share of repeated 4-grams.", ge=0.0, le=1.0)
    guard_copied: float = param(
        1.0,
        "Largest share of the output's 4-grams that stand in the prompt; 1 allows an echo. Rewards"
        " by likelihood pay for one: set 0.8 with pmi and pmi_likelihood.",
        source="benchmarks/README.md",
        ge=0.0,
        le=1.0,
    )
    guard_script: str = param(
        "LATIN", "Expected script, the first word of its Unicode names: LATIN, CYRILLIC, CJK, ..."
    )
    guard_script_share: float = param(
        0.5, "Smallest share of letters of that script; 0 allows any.", ge=0.0, le=1.0
    )
    guard_penalty: float = param(
        1.0, "Taken per broken guard, in standard deviations of the raw reward.", ge=0.0
    )
    scorer_device: str = param("auto", "Torch device of the scorers' models.", method=False)

    @property
    def scorers(self) -> list[str]:
        """Return the scorers that give the rule's parts, then those of ``reward_extra``."""
        weighed = set(self.preset.weights)
        if ":" in self.preset.name:
            needed = [self.preset.name]
        else:
            whole = self.preset.name.startswith("embedded") or self.reward_model == EMBEDDED
            learned = ("embedded",) if whole else ("reward_model", "unieval")
            names = (*learned, "language_model", "judge")
            needed = [name for name in names if weighed & set(SCORER_PARTS[name])]
        return list(dict.fromkeys([*needed, *listed(self.reward_extra)]))

    def content(self) -> list[Content]:
        """Return what the values name; of the scorers' models those that are read."""
        scorers = self.scorers
        models = {
            "reward_model": "reward_model",
            "unieval": "unieval",
            "language_model": "language_model",
            "judge": "judge",
            "judge_url": "judge",
        }
        named = super().content()
        read = [item for item in named if models.get(item.parameter, "") in ("", *scorers)]
        if "embedded" in scorers:
            read.append(Content("reward", "model", EMBEDDED))
        return read

    @rule("reward_extra")
    def each_part_has_one_scorer(self) -> str:
        """No two scorers measure the same part."""
        giver: dict[str, str] = {}
        for name in self.scorers:
            for part in SCORER_PARTS.get(name, ()):
                if part in giver:
                    return f"{giver[part]} and {name} both give the part {part!r}; keep one of them"
                giver[part] = name
        return ""

    @rule("judge")
    def judge_is_named(self) -> str:
        """A reward that asks a judge names its model, and its address for the engine openai."""
        if "judge" not in self.scorers:
            return ""
        if not self.judge:
            return "the reward asks a judge; name its model"
        if self.judge_engine == "openai" and not self.judge_url.startswith(("http://", "https://")):
            return f"judge_url is {self.judge_url!r}; give an address such as http://HOST:8000/v1"
        return ""

    @rule("unieval")
    def unieval_judges_dialogue(self) -> str:
        """The evaluators of other tasks were trained on other questions."""
        name = self.unieval.rstrip("/").rpartition("/")[2].partition("@")[0]
        if name.endswith("-sum") or name in _UNIEVAL_OF_OTHER_TASKS:
            return "it was trained on other questions; use MingZhong/unieval-dialog"
        return ""

    @rule("guard_max_words")
    def guards_leave_room(self) -> str:
        """Some length satisfies both guards."""
        if self.guard_min_words > self.guard_max_words:
            return f"it must be guard_min_words or more, {self.guard_min_words}"
        return ""

    @rule("scorer_device")
    def device_exists(self) -> str:
        """The device is one that torch knows."""
        if not _DEVICE.fullmatch(self.scorer_device):
            return "it must be auto, cpu, cuda or cuda:N"
        return ""
