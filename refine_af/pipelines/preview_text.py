"""What ``refine-af preview`` prints."""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from refine_af.contracts.progress import printable
from refine_af.pipelines.preview import KEPT, Call, Piece


def preview_text(calls: Sequence[Call]) -> str:
    """Return the calls for people; control characters of the model's text are replaced."""
    blocks = []
    first: dict[str, list[str]] = {}
    numbers: Counter[str] = Counter()
    for call in calls:
        numbers[call.stage] += 1
        prompt = _lines(call.prompt)
        if call.stage in first:
            prompt = _shortened(prompt, first[call.stage])
        first.setdefault(call.stage, prompt)
        blocks.append(_block(call, numbers[call.stage], prompt))
    return "\n\n".join([*blocks, _summary(calls)])


def _block(call: Call, number: int, prompt: Sequence[str]) -> str:
    lines = [f"== {call.stage}, request {number}", "prompt"]
    lines += [f"  | {line}" for line in prompt]
    lines += [f"answer ({call.finish})", *(f"  | {line}" for line in _lines(call.answer))]
    lines += ["read as", *(line for piece in call.pieces for line in _piece_lines(piece))]
    return "\n".join(lines)


def _shortened(prompt: list[str], first: list[str]) -> list[str]:
    """Return a prompt without the lines, if there are several, that it begins with as the first."""
    pairs = zip(prompt, first, strict=False)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return [f"({shared} lines as in request 1)", *prompt[shared:]] if shared > 1 else prompt


def _lines(text: str) -> list[str]:
    return [printable(line) for line in text.split("\n")]


def _piece_lines(piece: Piece) -> list[str]:
    detail = f" ({printable(piece.detail)})" if piece.detail else ""
    given = f"{piece.input!r} -> " if piece.input else ""
    lines = [f"  {piece.verdict}{detail}: {given}{piece.text!r}"]
    if piece.score:
        parts = ", ".join(f"{name} {value:.3g}" for name, value in piece.score.parts.items())
        flags = f"; guards broken: {', '.join(piece.score.flags)}" if piece.score.flags else ""
        lines.append(f"    reward {piece.score.total:.3g}: {parts}{flags}")
    return lines


def _summary(calls: Sequence[Call]) -> str:
    """Return one line per stage: calls, pieces, and how many pieces met which verdict."""
    lines = []
    for stage in dict.fromkeys(call.stage for call in calls):
        own = [call for call in calls if call.stage == stage]
        verdicts = Counter(piece.verdict for call in own for piece in call.pieces)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        lines.append(f"{stage}: {len(own)} requests; {counts}")
    written = [call for call in calls if call.stage == "generate_instructions"]
    if not any(piece.verdict == KEPT for call in written for piece in call.pieces):
        lines.append("No instruction was accepted, so instances were asked for the seeds'.")
    lines.append("Rewards are standardised over the rows shown here; a run's totals are others.")
    return "\n".join(lines)
