"""Under which terms a data set may be handed on: worked out from its sources, never assumed.

A row was written by a model that read seed tasks, so both bind it: the licence of every seed of
the run and the terms of the model. What states none is ``unknown``, and an unknown source refuses
the export until a person takes the decision.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from refine_af import builtin
from refine_af.contracts.errors import DataError
from refine_af.contracts.records import Seed

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of a data set.

    Attributes:
        licences: Different licences of all sources, lower case, sorted; ``unknown`` among them
            where a source states none.
        lines: One sentence per source.
        stated: The licence that the exporter stated instead; empty when none was.
    """

    licences: tuple[str, ...]
    lines: tuple[str, ...]
    stated: str = ""

    @property
    def published(self) -> tuple[str, ...]:
        """Return what the card's ``license`` field holds."""
        return (self.stated.lower(),) if self.stated else self.licences


def find_terms(
    seeds: Sequence[Seed], model: str, model_licence: str = "", stated: str = ""
) -> Terms:
    """Return the terms of rows that ``model`` wrote from ``seeds``.

    Args:
        seeds: All seeds of the run: any of them may have stood in the prompt of any row.
        model: Id of the model.
        model_licence: Its terms as a person gives them; empty looks them up.
        stated: Licence that a person gives for the whole; allows unknown sources.

    Raises:
        DataError: When a source states no licence and none is stated for the whole.
    """
    counts = Counter(seed.licence.strip().lower() or UNKNOWN for seed in seeds)
    if not seeds:
        counts[UNKNOWN] = 0
    lines = [_seed_line(name, count) for name, count in sorted(counts.items())]
    terms = model_licence.strip().lower() or licence_of_model(model)
    lines.append(f"{terms}: the model that wrote the rows, {model or 'not named'}")
    licences = tuple(sorted({*counts, terms}))
    if UNKNOWN in licences and not stated:
        listed = "; ".join(line for line in lines if line.startswith(UNKNOWN))
        raise DataError(
            f"the licence of the data set cannot be worked out ({listed}). Give seeds a `licence`"
            " field (or seed_ingest its parameter `licence`), say --model-licence, or decide with"
            " --licence ID, which the card then shows as your statement"
        )
    return Terms(licences, tuple(lines), stated.strip())


def licence_of_model(model: str) -> str:
    """Return the licence that a model's page states, lower case, or ``unknown``.

    Embedded models have the package's; a folder is read for the front matter of its README.md; a
    Hub id asks the Hub, and is ``unknown`` when that cannot be reached.
    """
    if model.startswith(builtin.SCHEME):
        return builtin.LICENCE.lower()
    if not model:
        return UNKNOWN
    if Path(model).is_dir():
        return _stated(_front_matter(Path(model) / "README.md"))
    return UNKNOWN if "://" in model else _of_hub(model)


def _seed_line(name: str, count: int) -> str:
    return f"{name}: {count} seed tasks" if count else f"{name}: the seed tasks, not given"


def _front_matter(page: Path) -> dict[str, Any]:
    if not page.is_file():
        return {}
    parts = page.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        fields = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _of_hub(model: str) -> str:
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    name, _, revision = model.partition("@")
    unreachable = (
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        httpx.HTTPError,
        OSError,
    )
    try:
        card = HfApi().model_info(name, revision=revision or None, timeout=10).card_data
    except unreachable:
        return UNKNOWN
    return _stated(card.to_dict() if card else {})  # type: ignore[no-untyped-call]


def _stated(front: dict[str, Any]) -> str:
    """Return the card's licence; ``other`` goes by its own name where the card has one."""
    licence = front.get("license")
    if licence == "other":
        licence = front.get("license_name") or UNKNOWN
    return str(licence).strip().lower() if isinstance(licence, str) and licence else UNKNOWN
