"""When a row counts as a repeat."""

from refine_af.contracts.params import Params, param
from refine_af.dedup.rouge_l import Tokens


class FilterParams(Params):
    """The filter's bounds; a row over one of them is dropped."""

    max_rouge_l: float = param(
        0.7,
        "Drop a row whose ROUGE-L F1 with a pool or kept row is strictly above this.",
        source="Self-Instruct, section 3.1 and its code (strictly greater)",
        gt=0.0,
        le=1.0,
    )
    text_field: str = param("instruction", "Column that is compared.")
    tokens: Tokens = param(
        "rouge",
        "rouge: as rouge_score, which drops non-Latin text; unicode_words; characters.",
        source="rouge_score 0.1.2",
    )
    max_rows: int = param(0, "Keep at most this many rows, in order; 0 keeps all.", ge=0)
    tasks_uri: str = param(
        "",
        "Evaluation tasks that no row may match: builtin:tasks or a URI; empty checks nothing.",
        names="tasks",
        digest="tasks_digest",
    )
    tasks_digest: str = param(
        "", "Digest of the tasks, as check_inputs found them: other tasks are another run."
    )
    max_cosine: float = param(
        0.0,
        "Semantic mode: drop a row whose embedding's cosine with a pool or kept row is strictly"
        " above this; 0 compares wording alone.",
        source="project choice: ROUGE-L drops almost nothing among evolved rewrites",
        ge=0.0,
        le=1.0,
    )
    max_per_root: int = param(
        0, "Keep at most this many rows of one root, in order; 0 sets no cap.", ge=0
    )
    root_field: str = param("root", "Column that names a row's root; without it its own.")

    @property
    def semantic(self) -> bool:
        """Return whether more than wording is judged."""
        return self.max_cosine > 0 or self.max_per_root > 0
