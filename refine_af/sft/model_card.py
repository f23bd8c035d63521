"""The model card beside the trained weights, computed from the rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from refine_af.sft.params import SFTParams

UNKNOWN = "unknown"
NOT_SETTINGS = {
    *("model", "model_digest", "template", "chat", "seed", "replicate"),
    *("rows", "include_seed_tasks", "merge", "device"),
}
"""Parameters that the page states in words, or that do not describe the method."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The content of the card.

    Attributes:
        instances: Machine-written rows trained on.
        seed_licences: Licence of each seed row trained on.
        cut: Rows left out, by reason.
        tokens: Read in training, over all epochs.
        steps: Optimizer steps.
        params: Of the run.
        template: Words around each row.
    """

    instances: int
    seed_licences: Sequence[str]
    cut: dict[str, int]
    tokens: int
    steps: int
    params: SFTParams
    template: str


def model_card(facts: CardFacts) -> str:
    """Return the page in Markdown, with the header that model hubs read.

    It contains no time and no path, so the same run gives the same bytes. Its licence is that of
    the data where every row states the same one, and otherwise ``unknown``: rows that a model
    wrote carry none.
    """
    params = facts.params
    licence, lines = _licences(facts)
    kind = "Model" if params.method == "full" else "LoRA adapter"
    return "\n".join(
        [
            "---",
            f"base_model: {_quoted(params.model)}",
            f"library_name: {'transformers' if params.method == 'full' else 'peft'}",
            f"license: {_quoted(licence)}",
            "pipeline_tag: text-generation",
            "---",
            "",
            f"# {kind} fine-tuned on instruction data",
            "",
            f"Base model: `{params.model}`, digest `{params.model_digest or UNKNOWN}`.",
            f"Prompt template: `{facts.template}`; ask the model in the same words.",
            "",
            "## Data",
            "",
            f"- {facts.instances} machine-written rows and {len(facts.seed_licences)} rows of seed"
            " tasks.",
            f"- Left out: {_listed(facts.cut)}.",
            f"- {facts.tokens} tokens read in {facts.steps} steps; the loss is taken on the"
            " completions only.",
            "",
            "## Licences of the data",
            "",
            *lines,
            "",
            "The base model's own licence applies as well; this page does not know it.",
            "",
            "## Settings",
            "",
            "| setting | value |",
            "| --- | --- |",
            *(f"| {name} | {value} |" for name, value in _method_settings(params).items()),
            "",
        ]
    )


def _licences(facts: CardFacts) -> tuple[str, list[str]]:
    """Return the licence of the whole, and one line per licence of the rows."""
    counts = Counter(facts.seed_licences)
    lines = [f"- {name}: {count} rows of seed tasks" for name, count in sorted(counts.items())]
    if facts.instances:
        lines.append(f"- {UNKNOWN}: {facts.instances} machine-written rows")
    single = len(counts) == 1 and not facts.instances
    return (next(iter(counts)).lower() if single else UNKNOWN), lines


def _listed(cut: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(cut.items())) or "none"


def _method_settings(params: SFTParams) -> dict[str, object]:
    values = params.method_values()
    return {"seed": params.draws} | {
        name: values[name] for name in values if name not in NOT_SETTINGS
    }


def _quoted(text: str) -> str:
    """Return a YAML string: ids are the user's text."""
    import json

    return json.dumps(text, ensure_ascii=False)
