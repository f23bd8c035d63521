"""Parameters of bootstrapping instructions and of requests for instances."""

from dataclasses import replace
from typing import Literal

from refine_af.contracts.params import Params, param, rule
from refine_af.dedup.rouge_l import Tokens
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Sampling
from refine_af.self_instruct.instance_form import Asked, InstanceForm, Split, style_for
from refine_af.self_instruct.parse_instructions import ALPACA_BLACKLIST, PUBLISHED, ParseRules
from refine_af.self_instruct.sampling import instructions_sampling

FORM = ("style", "split", "chat")
"""Parameters that must be the same where a model is trained on a form and where it is asked."""


class BootstrapParams(EngineParams):
    """Number, prompts, sampling and filter of new instructions."""

    target: int = param(
        15000,
        "Instructions to reach. The round that reaches it counts whole, so there may be more: up to"
        " 8 for each prompt of round_size.",
        source="REFINE-AF: 15K per backbone",
        ge=1,
        counts_rows=True,
    )
    shard: int = param(0, "Number of this shard; each has a random stream of its own.", ge=0)
    round_size: int = param(
        64,
        "Prompts drawn from one frozen pool; the published loop has 5, more keep a GPU busy.",
        source="Self-Instruct, bootstrap_instructions.py (5)",
        ge=1,
        counts_rows=True,
    )
    max_requests: int = param(20000, "Most requests before it ends.", ge=1, counts_rows=True)
    max_empty_rounds: int = param(5, "Ends after so many rounds without a new instruction.", ge=1)
    in_context: int = param(8, "Instructions shown.", source="Self-Instruct, section 3.1", ge=1)
    machine_in_context: int = param(
        2, "Of them written by the model, where there are any.", source="Self-Instruct", ge=0
    )
    sampling: Literal["self_instruct", "small_lm"] = param(
        "small_lm", "self_instruct (published values) or small_lm."
    )
    temperature: float = param(0.0, "Instead of the sampling's own; 0 keeps that.", ge=0.0)
    top_p: float = param(0.0, "Likewise, nucleus mass.", ge=0.0, le=1.0)
    max_tokens: int = param(1024, "Most new tokens of a request.", source="Self-Instruct", ge=8)
    max_rouge_l: float = param(
        0.7,
        "Drop an instruction whose ROUGE-L F1 with an earlier one is strictly above this.",
        source="Self-Instruct, section 3.1",
        gt=0.0,
        le=1.0,
    )
    tokens: Tokens = param(
        "rouge",
        "rouge: as rouge_score, which drops non-Latin text; unicode_words; characters.",
        source="rouge_score 0.1.2",
    )
    known_uri: str = param(
        "",
        "Texts that no new instruction may repeat: builtin:training-instructions (what"
        " builtin:tiny was trained on), or JSON Lines with a column `instruction`.",
        names="file",
    )
    parity: bool = param(
        False,
        "Decide as the published code where small models need better: str.capitalize, and a cut"
        " completion dropped whole.",
    )
    alpaca_keywords: bool = param(False, "Also drop Alpaca's five further keywords.")
    drop_statements: bool = param(
        False,
        "Also drop a text that is one English statement, which small models write between tasks.",
        source="project choice: benchmarks/README.md",
    )
    task_rating: Literal["none", "pmi"] = param(
        "none",
        "pmi: rate each instruction by how much likelier the model finds it behind seed tasks than"
        " alone, and drop by min_rating and best_share before it joins the pool.",
        source="project choice: self_instruct/task_rating.py",
    )
    min_rating: float = param(0.0, "With task_rating: least rating, nats per token.")
    best_share: float = param(
        1.0,
        "With task_rating, best-of-n: share of a round's instructions that stay, the best rated.",
        gt=0.0,
        le=1.0,
    )

    @property
    def parse_rules(self) -> ParseRules:
        """Return how completions are read."""
        rules = PUBLISHED if self.parity else ParseRules()
        words = ALPACA_BLACKLIST if self.alpaca_keywords else rules.blacklist
        return replace(rules, blacklist=words, statements=not self.drop_statements)

    @property
    def requested(self) -> Sampling:
        """Return the sampling of a request."""
        preset = instructions_sampling(self.sampling, self.in_context, chat=self.style == "chat")
        temperature = self.temperature or preset.temperature
        top_p = self.top_p or preset.top_p
        return replace(preset, max_tokens=self.max_tokens, temperature=temperature, top_p=top_p)

    @property
    def style(self) -> Literal["plain", "chat"]:
        """Return how a prompt asks: a list to go on with, or in words where it is a chat."""
        return "chat" if self.asks_by_chat else "plain"

    @rule("task_rating")
    def rating_reads_the_model(self) -> str:
        """Ratings are likelihoods of the model, and published rules have none."""
        if self.task_rating == "none":
            return ""
        if self.engine not in ("transformers", "vllm"):
            return f"it reads the model's weights, and engine is {self.engine!r}; set it to none"
        return "parity decides as published, without ratings: unset one" if self.parity else ""

    @rule("best_share")
    def best_are_rated(self) -> str:
        """Choosing by rating needs ratings."""
        if self.task_rating == "none" and (self.best_share < 1 or self.min_rating):
            return "best_share and min_rating choose by rating: set task_rating to pmi"
        return ""

    @rule("machine_in_context")
    def machine_written_are_shown(self) -> str:
        """The instructions of the model are some of those that a prompt shows."""
        if self.machine_in_context > self.in_context:
            return f"it must be at most in_context, which is {self.in_context}"
        return ""


class InstanceFormParams(Params):
    """The form in which instances are asked for; PPO trains on the same."""

    style: Asked = param(
        "auto",
        "few_shot: worked tasks of our own, for base models; chat: a request in words, for chat"
        " models; plain: the instruction alone; auto: plain for a builtin: model, chat where the"
        " chat template is used, else few_shot.",
    )
    split: Split = param(
        "classification",
        "classification: ask first, then write outputs first for such tasks; none: inputs first.",
        source="Self-Instruct, section 2.3",
    )

    def form(self, model: str, instances: int = 1, *, chat: bool = False) -> InstanceForm:
        """Return how ``model`` is asked for at most so many instances."""
        return InstanceForm(style_for(self.style, model, chat=chat), instances)


class InstancesParams(InstanceFormParams, EngineParams):
    """How the model is asked for instances, and how often."""

    samples: int = param(1, "Completions per instruction.", ge=1, le=64)
    max_instances: int = param(5, "Most instances per completion.", source="Self-Instruct", ge=1)
    temperature: float = param(0.0, "0 is greedy.", source="Self-Instruct", ge=0.0)
    top_p: float = param(1.0, "Nucleus mass.", gt=0.0, le=1.0)
    presence_penalty: float = param(0.0, "Against repetition; the published 1.5 suits few models.")
    max_tokens: int = param(350, "Most new tokens.", source="Self-Instruct (300 and 350)", ge=8)
    replicate: int = param(
        0, "Number of the repetition: other draws, all else equal (the A/A arm has 1).", ge=0
    )
    parity: bool = param(
        False, "Stop and read answers exactly as published: labels count anywhere in an answer."
    )
    limit: int = param(0, "First N instructions; 0 takes all.", ge=0, counts_rows=True)
    tasks_uri: str = param(
        "",
        "Evaluation tasks that no instance may match: builtin:tasks or a URI; empty: no check.",
        names="tasks",
        digest="tasks_digest",
    )
    tasks_digest: str = param(
        "", "Digest of the tasks, as check_inputs found them: other tasks are another run."
    )

    @rule("samples")
    def samples_differ(self) -> str:
        """Greedy completions of one prompt are all the same."""
        if self.samples > 1 and self.temperature == 0:
            return "at temperature 0 all are the same: set temperature above 0, or samples to 1"
        return ""

    @property
    def requested(self) -> Sampling:
        """Return the sampling of a request."""
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            presence_penalty=self.presence_penalty,
            stop=self.instance_form.stop,
        )

    @property
    def instance_form(self) -> InstanceForm:
        """Return the form of a request and its answer."""
        form = self.form(self.model, self.max_instances, chat=self.asks_by_chat)
        return replace(form, published=self.parity)
