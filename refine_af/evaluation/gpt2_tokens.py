"""GPT-2's byte-level tokens, which the cross-lingual track compares in place of English words."""

from collections.abc import Sequence
from pathlib import Path

from refine_af.contracts.errors import DataError, ParameterError, missing_library
from refine_af.evaluation.metrics import SPACE_MARK, Tokenizer, cross_lingual
from refine_af.evaluation.tasks import EvaluationTask


def gpt2_tokenizer(path: Path) -> Tokenizer:
    """Return the cross-lingual track's tokenizer, read from GPT-2's ``tokenizer.json``.

    Any byte-level tokenizer is read; scores are official only with GPT-2's.

    Raises:
        DataError: For a file of another kind.
        MissingLibraryError: Without the library ``tokenizers``.
    """
    try:
        from tokenizers import Tokenizer as Fast
    except ImportError as error:
        remedy = "pip install 'refine-af[train]'"
        raise missing_library(error, f"{path}: reading it", remedy) from None
    if not path.is_file():
        raise DataError(f"{path}: no such file; give GPT-2's tokenizer.json")
    try:
        fast = Fast.from_file(str(path))
    except Exception as error:
        raise DataError(f"{path}: not a tokenizer.json ({error}); give GPT-2's") from None
    tokens = _tokens(fast, " a")
    if not tokens or not tokens[0].startswith(SPACE_MARK):
        raise DataError(
            f"{path}: it cuts ' a' into {tokens}, which is not byte-level; give GPT-2's"
        )
    return cross_lingual(lambda text: _tokens(fast, text))


def track_tokenizer(tasks: Sequence[EvaluationTask], path: Path | None) -> Tokenizer | None:
    """Return the tokenizer that the tasks need, None where all are of the default track.

    Raises:
        ParameterError: For the cross-lingual track without a file.
    """
    foreign = [task.name for task in tasks if task.track == "xlingual"]
    if not foreign:
        return None
    if path is None:
        raise ParameterError(
            f"{len(foreign)} of {len(tasks)} tasks are of the cross-lingual track, {foreign[0]}"
            " the first; its ROUGE-L needs GPT-2's tokenizer: name its tokenizer.json with"
            " gpt2_tokenizer, or leave these tasks out"
        )
    return gpt2_tokenizer(path)


def _tokens(fast: object, text: str) -> list[str]:
    tokens: list[str] = fast.encode(text, add_special_tokens=False).tokens  # type: ignore[attr-defined]
    return tokens
