"""The page of seconds, tokens and money per stage; separate, because it differs between runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.groups import grouped
from refine_af.reporting.report import environment, page_parts


@dataclass(frozen=True, slots=True)
class StageTime:
    """One task of the run, or one part of it; None is not measured.

    Attributes:
        stage: ``stage`` or ``stage (label)``, or the title of the part.
        seconds: Wall clock.
        gpu_seconds: Seconds times GPUs.
        prompt_tokens: Tokens read by a text engine.
        new_tokens: Tokens written.
        endpoint_money: What endpoints ask for its tokens; None where no price was given.
        money: What its GPU-seconds and endpoints cost; None where neither is known.
        share: Its seconds over those of the slowest task, or part, in [0, 1].
        rate: Tokens per second, as the stage measured it: written by a text engine, read in
            fine-tuning.
    """

    stage: str
    seconds: float | None
    gpu_seconds: float | None
    prompt_tokens: float | None
    new_tokens: float | None
    rate: float | None
    endpoint_money: float | None
    money: str | None = None
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The page in HTML and Markdown."""

    html: str
    markdown: str


def render_timing(
    telemetry: Mapping[str, Mapping[str, Any]],
    *,
    price_per_gpu_hour: float | None = None,
    currency: str = "",
) -> Timing:
    """Return the page of seconds, GPU-seconds, tokens and, with a price, money.

    Args:
        telemetry: Each task's ``telemetry`` artifact, in the order of the run. Read are
            ``seconds``, ``gpu_seconds`` (or ``gpus`` times ``seconds``), ``prompt_tokens``,
            ``new_tokens``, ``new_tokens_per_second`` (or ``tokens_per_second``) and
            ``endpoint_money``.
        price_per_gpu_hour: What one GPU costs in an hour; None shows no money for GPUs.
        currency: Unit of the prices.

    Raises:
        ParameterError: For a negative price.
    """
    if price_per_gpu_hour is not None and price_per_gpu_hour < 0:
        raise ParameterError(f"price_per_gpu_hour is {price_per_gpu_hour}; it must be 0 or more")
    measured = {name: _row(name, values) for name, values in telemetry.items()}
    parts = [
        _together(title, [measured[name] for name in names])
        for title, names in grouped(telemetry).items()
    ]
    rows = _priced(list(measured.values()), price_per_gpu_hour, currency)
    gpu = _sum([row.gpu_seconds for row in rows])
    values: dict[str, Any] = {
        "rows": rows,
        "parts": _priced(parts, price_per_gpu_hour, currency),
        "seconds": _sum([row.seconds for row in rows]),
        "gpu_seconds": gpu,
        "gpu_money": _shown(_gpu_money(gpu, price_per_gpu_hour), currency),
        "endpoint_money": _shown(_sum([row.endpoint_money for row in rows]), currency),
        "has_money": any(row.money is not None for row in rows),
        "started": _started(telemetry),
        "price": price_per_gpu_hour,
        **page_parts(),
    }
    return Timing(
        html=environment("html").get_template("timing.html.j2").render(values),
        markdown=environment("md").get_template("timing.md.j2").render(values),
    )


def _row(name: str, values: Mapping[str, Any]) -> StageTime:
    seconds = _number(values.get("seconds"))
    gpus = _number(values.get("gpus"))
    gpu_seconds = _number(values.get("gpu_seconds"))
    if gpu_seconds is None and gpus is not None and seconds is not None:
        gpu_seconds = gpus * seconds
    rate = _number(values.get("new_tokens_per_second"))
    return StageTime(
        stage=name,
        seconds=seconds,
        gpu_seconds=gpu_seconds,
        prompt_tokens=_number(values.get("prompt_tokens")),
        new_tokens=_number(values.get("new_tokens")),
        rate=_number(values.get("tokens_per_second")) if rate is None else rate,
        endpoint_money=_number(values.get("endpoint_money")),
    )


def _together(title: str, rows: list[StageTime]) -> StageTime:
    """Return the sums of a part of the run; it has no rate of its own."""
    return StageTime(
        stage=title,
        seconds=_sum([row.seconds for row in rows]),
        gpu_seconds=_sum([row.gpu_seconds for row in rows]),
        prompt_tokens=_sum([row.prompt_tokens for row in rows]),
        new_tokens=_sum([row.new_tokens for row in rows]),
        rate=None,
        endpoint_money=_sum([row.endpoint_money for row in rows]),
    )


def _priced(rows: list[StageTime], price: float | None, currency: str) -> list[StageTime]:
    """Return the rows with their money and the length of their bar."""
    longest = max((row.seconds or 0.0 for row in rows), default=0.0)
    return [
        replace(
            row,
            money=_shown(_sum([_gpu_money(row.gpu_seconds, price), row.endpoint_money]), currency),
            share=(row.seconds or 0.0) / longest if longest else 0.0,
        )
        for row in rows
    ]


def _gpu_money(gpu_seconds: float | None, price: float | None) -> float | None:
    return None if price is None or gpu_seconds is None else gpu_seconds / 3600 * price


def _shown(money: float | None, currency: str) -> str | None:
    return None if money is None else f"{money:,.2f} {currency}".strip()


def _started(telemetry: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the start of the first task in UTC; empty where none says it."""
    starts = [_number(values.get("started")) for values in telemetry.values()]
    known = [start for start in starts if start is not None]
    return f"{datetime.fromtimestamp(min(known), UTC):%Y-%m-%d %H:%M} UTC" if known else ""


def _number(value: object) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else None  # type: ignore[arg-type]


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
