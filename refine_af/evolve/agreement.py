"""The answering model's certainty about a task: the share of sampled answers that agree."""

from collections import Counter
from collections.abc import Sequence

from refine_af.contracts.randomness import derive
from refine_af.engines.text import Request, Sampling, TextEngine
from refine_af.evolve.ledger import Ledger
from refine_af.evolve.operators import Style
from refine_af.evolve.response_form import STOPS, response_prompt


class Agreement:
    """Samples answers at temperature 1 and counts the most common one, wording normalised.

    The prompt is that of ``generate_responses``.

    R-Zero (arXiv 2508.05004), section 3.1, for short answers; long ones hardly ever agree word by
    word, so that s is near ``1 / samples`` for all of them and says little.
    """

    def __init__(
        self,
        engine: TextEngine,
        style: Style,
        samples: int,
        max_tokens: int,
        seed: int,
        ledger: Ledger,
    ) -> None:
        """Ask ``engine`` so many times per instruction."""
        self._engine, self._style = engine, style
        self._samples, self._seed = samples, seed
        self._sampling = Sampling(max_tokens=max_tokens, temperature=1.0, stop=STOPS[style])
        self._ledger = ledger
        self._asked = 0

    def __call__(self, asked: Sequence[tuple[str, str]]) -> list[float]:
        """Return the share of the most common answer to each (instruction, input), in (0, 1]."""
        requests = [
            Request(
                f"frontier/{self._asked + index}/{number}",
                response_prompt(self._style, instruction, given),
                derive(self._seed, "frontier", self._asked + index, number),
            )
            for index, (instruction, given) in enumerate(asked)
            for number in range(self._samples)
        ]
        self._asked += len(asked)
        answers = self._engine.generate(requests, self._sampling) if requests else []
        self._ledger.add("responder", "frontier", answers)
        shares = []
        for start in range(0, len(answers), self._samples):
            texts = [
                " ".join(answer.text.casefold().split())
                for answer in answers[start : start + self._samples]
            ]
            shares.append(Counter(texts).most_common(1)[0][1] / self._samples)
        return shares
