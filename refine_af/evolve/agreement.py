"""How sure the answering model is of a task: the share of sampled answers that agree."""

from collections import Counter
from collections.abc import Sequence

from refine_af.contracts.randomness import derive
from refine_af.engines.text import Request, Sampling, TextEngine
from refine_af.evolve.ledger import Ledger
from refine_af.self_instruct.prompts import instance_prompt


class Agreement:
    """Samples answers at temperature 1 and counts the most common one, wording normalised.

    R-Zero (arXiv 2508.05004), section 3.1, for short answers; long ones hardly ever agree word by
    word, so that s is near ``1 / samples`` for all of them and the term tells little.
    """

    def __init__(
        self, engine: TextEngine, samples: int, max_tokens: int, seed: int, ledger: Ledger
    ) -> None:
        """Ask ``engine`` so many times per instruction."""
        self._engine, self._samples, self._seed = engine, samples, seed
        self._sampling = Sampling(max_tokens=max_tokens, temperature=1.0, stop=("\nInstruction:",))
        self._ledger = ledger
        self._asked = 0

    def __call__(self, instructions: Sequence[str]) -> list[float]:
        """Return the share of the most common answer of each instruction, in (0, 1]."""
        requests = [
            Request(
                f"frontier/{self._asked + place}/{number}",
                instance_prompt(text, "input_first", "plain"),
                derive(self._seed, "frontier", self._asked + place, number),
            )
            for place, text in enumerate(instructions)
            for number in range(self._samples)
        ]
        self._asked += len(instructions)
        answers = self._engine.generate(requests, self._sampling) if requests else []
        self._ledger.add("responder", "frontier", answers)
        found = []
        for start in range(0, len(answers), self._samples):
            texts = [
                " ".join(one.text.casefold().split())
                for one in answers[start : start + self._samples]
            ]
            found.append(Counter(texts).most_common(1)[0][1] / self._samples)
        return found
