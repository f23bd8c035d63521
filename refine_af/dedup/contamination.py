"""Refuses text that repeats an evaluation: by ROUGE-L, or by a rare run of eight tokens.

Source: our own gate. Runs of 8 to 13 tokens are the customary unit of decontamination (13 in
GPT-3, arXiv 2005.14165, appendix C). ROUGE-L finds rewordings of a whole text, the run finds a
passage inside a longer text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from refine_af.contracts.errors import ParameterError
from refine_af.dedup.index import RougeLIndex
from refine_af.dedup.rouge_l import TOKENIZERS, Tokens

RUN = 8
"""Tokens in a row that two texts must share."""

FEWEST_TOKENS = 4
"""A shorter evaluation text, such as the input "river", occurs by chance and proves no leak."""

RARE = 10
"""A run that occurs in more evaluation texts than this belongs to the form of a task, such as
"answer the following question with yes or no", and says nothing. Project choice: passages that
several questions of one task share stay below it, frames that all its instances share do not."""

_SHOWN = 200
"""Characters of an evaluation text in a refusal."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Why a text counts as contaminated.

    Attributes:
        id: The evaluation text that it repeats, with task and instance, see
            :func:`refine_af.evaluation.task_sets.evaluation_texts`.
        rule: ``rouge_l`` or ``run``.
        score: ROUGE-L F1 for ``rouge_l``; tokens of the shared run for ``run``.
        run: The shared run, for ``run``.
        text: Beginning of the evaluation text.
    """

    id: str
    rule: Literal["rouge_l", "run"]
    score: float
    run: str = ""
    text: str = ""

    @property
    def detail(self) -> str:
        """Return rule, shared run and evaluation text in one line, for people."""
        shared = f" shares {self.run!r} with" if self.run else ""
        return f"{self.rule}{shared}: {self.text}"


class ContaminationGate:
    """Compares texts with a fixed set of evaluation texts.

    An evaluation text of fewer than :data:`FEWEST_TOKENS` tokens is not looked for.
    """

    def __init__(
        self,
        evaluation: Iterable[tuple[str, str]],
        bound: float = 0.7,
        rare: int = RARE,
        tokens: Tokens = "rouge",
    ) -> None:
        """Index the (id, text) rows of an evaluation: definitions and instance inputs.

        Args:
            evaluation: Names and texts; of equal texts the first name is given.
            bound: A text with a larger ROUGE-L F1 leaks, as in the near-duplicate filter.
            rare: Most evaluation texts that a telling run may occur in, at least 1.
            tokens: See :data:`refine_af.dedup.rouge_l.Tokens`.
        """
        if rare < 1:
            raise ParameterError(f"rare is {rare}; it must be at least 1 evaluation text")
        self._tokens: Tokens = tokens
        self._index = RougeLIndex(bound, tokens)
        names: dict[str, str] = {}
        for name, text in evaluation:
            names.setdefault(text, name)
        self._texts = {name: text for text, name in names.items()}
        rows = list(self._texts.items())
        telling = [row for row in rows if len(TOKENIZERS[tokens](row[1])) >= FEWEST_TOKENS]
        self._index.add_all(telling)
        self._runs = self._rare_runs(rows, rare)

    def __len__(self) -> int:
        return len(self._index)

    def leak(self, text: str) -> Leak | None:
        """Return why ``text`` is contaminated, or None; ROUGE-L is looked at first."""
        return self.leaks([text])[0]

    def leaks(self, texts: Sequence[str]) -> list[Leak | None]:
        """Return :meth:`leak` of each text; much faster per text than one by one."""
        return [
            self._leak(near.id, "rouge_l", near.score) if near else self._shared_run(text)
            for near, text in zip(self._index.over_bound(texts), texts, strict=True)
        ]

    def _leak(
        self, name: str, rule: Literal["rouge_l", "run"], score: float, run: str = ""
    ) -> Leak:
        return Leak(name, rule, score, run, self._texts[name][:_SHOWN])

    def _shared_run(self, text: str) -> Leak | None:
        for run in _runs(text, self._tokens):
            owner = self._runs.get(run)
            if owner is not None:
                return self._leak(owner, "run", float(RUN), run)
        return None

    def _rare_runs(self, rows: Sequence[tuple[str, str]], rare: int) -> dict[str, str]:
        """Return the first owner of each run that occurs in at most ``rare`` texts."""
        owners: dict[str, str] = {}
        counts: dict[str, int] = {}
        for row_id, text in rows:
            for run in dict.fromkeys(_runs(text, self._tokens)):
                owners.setdefault(run, row_id)
                counts[run] = counts.get(run, 0) + 1
        return {run: owner for run, owner in owners.items() if counts[run] <= rare}


def _runs(text: str, tokens: Tokens) -> Iterator[str]:
    """Yield every run of tokens, spelled with single spaces."""
    spelled = [
        token.decode() if isinstance(token, bytes) else token for token in TOKENIZERS[tokens](text)
    ]
    for start in range(len(spelled) - RUN + 1):
        yield " ".join(spelled[start : start + RUN])
