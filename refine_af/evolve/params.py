"""How instructions are evolved, and how an operator policy is trained."""

from collections.abc import Collection
from typing import Literal, Self

from refine_af.contracts.content import EngineKind
from refine_af.contracts.params import param, rule
from refine_af.engines.params import EngineParams
from refine_af.engines.text import Sampling
from refine_af.evolve.operators import (
    BUILTIN,
    PACKAGED,
    RewriteStyle,
    Style,
    load_operators,
    parse_mix,
    read_mix,
)

Policy = Literal["learned", "uniform", "fixed_mix", "released_mix", "llm", "no_evolution"]


class EvolutionParams(EngineParams):
    """How instructions are rewritten, reviewed and rewarded."""

    operators_uri: str = param(
        "builtin:operators",
        "Operators and their prompts: builtin:operators, a YAML file or a URI.",
        names="operators",
    )
    style: RewriteStyle = param(
        "instruct",
        "plain: as builtin:tiny was trained; instruct: a request in words; few_shot: worked"
        " rewrites before it, for base models and small ones.",
    )
    steps: int = param(6, "Most operators tried on one seed.", source="TeaMs-RL, its code", ge=1)
    temperature: float = param(0.8, "Of the rewriter.", ge=0.0)
    top_p: float = param(0.95, "Nucleus mass.", source="TeaMs-RL, its code", gt=0.0, le=1.0)
    max_tokens: int = param(512, "Most new tokens of a rewrite.", ge=4)
    reviewer: str = param(
        "",
        "Model that compares rewrite and parent; empty: the rewriter's.",
        names="model",
        opened_by="reviewing",
    )
    reviewer_engine: Literal["", EngineKind] = param(
        "", "Engine of the reviewer; empty: the rewriter's."
    )
    reviewer_price_per_million_read: float = param(
        0.0,
        "What the endpoint asks for a million tokens that a reviewer of its own reads; 0: not"
        " known.",
        method=False,
        ge=0.0,
    )
    reviewer_price_per_million_written: float = param(
        0.0, "Likewise for a million tokens that it writes.", method=False, ge=0.0
    )
    accept: float = param(
        0.6,
        "Least probability of a difference, both orders averaged; 0 with weight_changed=0 asks no"
        " reviewer.",
        ge=0.0,
        le=1.0,
    )
    patience: int = param(2, "Invalid rewrites in a row that end an episode.", ge=1)
    min_words: int = param(3, "Fewest words of an instruction.", ge=1)
    max_words: int = param(512, "Most words of an instruction.", ge=1)
    weight_changed: float = param(0.5, "Reward of a rewrite that differs.", ge=0.0)
    weight_novelty: float = param(
        0.5, "Reward times 1 - largest cosine to siblings and the memory bank.", ge=0.0
    )
    weight_invalid: float = param(0.5, "Taken for a rewrite that breaks a rule.", ge=0.0)
    weight_frontier: float = param(
        0.0,
        "Reward times 4 s (1 - s), s the agreement of sampled answers; 0 samples none.",
        source="R-Zero (2508.05004)",
        ge=0.0,
    )
    frontier_samples: int = param(4, "Answers sampled for that.", ge=2, le=64)
    embedding: str = param(
        "builtin:static",
        "Of instructions, for policy, novelty and clusters: builtin:static needs no model; else any"
        " sentence-transformers model (Hub id, path, gs:// or s3://).",
        names="model",
    )
    clusters: int = param(4, "Groups of like seeds that are told apart in tables.", ge=1, le=16)
    seeds_limit: int = param(0, "First N seeds; 0 takes all.", ge=0, counts_rows=True)

    @property
    def reviewing(self) -> EngineKind:
        """Return the engine of the reviewer."""
        return self.reviewer_engine or self.engine

    @property
    def asks_reviewer(self) -> bool:
        """Return whether a reviewer's verdict decides or pays anything."""
        return self.accept > 0 or self.weight_changed > 0

    @property
    def calls_of_a_step(self) -> int:
        """Return the calls of one operation: the rewrite, and a review in both orders."""
        return 3 if self.asks_reviewer else 1

    @property
    def answer_style(self) -> Style:
        """Return the form of asking for a review or an answer."""
        return "plain" if self.style == "plain" else "instruct"

    @property
    def reviewer_params(self) -> Self | None:
        """Return the parameters of the reviewer's engine; None where the rewriter reviews."""
        if not self.reviewer and not self.reviewer_engine:
            return None
        changes = {
            "model": self.reviewer or self.model,
            "engine": self.reviewing,
            "model_digest": "",
            "price_per_million_read": self.reviewer_price_per_million_read,
            "price_per_million_written": self.reviewer_price_per_million_written,
        }
        return self.model_copy(update=changes)

    @property
    def requested(self) -> Sampling:
        """Return the sampling of a rewrite."""
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=("\n### ",) if self.style == "instruct" else ("\n",),
        )

    @rule("min_words")
    def some_length_fits(self) -> str:
        """Some length satisfies both bounds."""
        if self.min_words > self.max_words:
            return f"it must be at most max_words, which is {self.max_words}"
        return ""

    @rule("reviewer_engine")
    def reviewer_has_an_address(self) -> str:
        """A reviewer at an endpoint is asked at ``base_url``."""
        if self.reviewing == "openai" and not self.base_url.startswith(("http://", "https://")):
            return "engine openai needs base_url, such as http://HOST:8000/v1"
        return ""


class EvolveParams(EvolutionParams):
    """The policy that chooses operators, and the number of steps."""

    policy: Policy = param(
        "learned",
        "learned, uniform, fixed_mix, released_mix, llm, or no_evolution (the seeds alone).",
        source="released_mix: shares that the released generator of TeaMs-RL executes",
    )
    mix: str = param("", "Shares of fixed_mix: name=weight, name=weight.")
    exploration: float = param(0.03, "Share of uniform draws in a learned policy.", ge=0.0, lt=1.0)
    passes: int = param(1, "Times that every seed is evolved anew.", ge=1)
    max_calls: int = param(
        0, "Most calls of rewriter and reviewer together; 0 sets no limit.", ge=0
    )
    keep_seeds: bool = param(False, "Hand on the seeds too.", source="Evol-Instruct keeps them")

    @rule("policy", reads_inputs=True)
    def learned_policy_is_given(self, inputs: Collection[str]) -> str:
        """A learned policy needs the input ``operator_policy``."""
        if self.policy == "learned" and "operator_policy" not in inputs:
            return (
                "it needs the input operator_policy (of train_operator_policy); give it, or another"
                " policy"
            )
        return ""

    @rule("mix")
    def mix_is_readable(self) -> str:
        """``fixed_mix`` needs shares of existing operators."""
        if self.policy != "fixed_mix":
            return ""
        read_mix(self.mix)
        if self.operators_uri == BUILTIN:
            parse_mix(self.mix, load_operators(PACKAGED, BUILTIN).names)
        return ""


class PolicyParams(EvolutionParams):
    """What an operator policy is trained on, by PPO on a categorical head."""

    table_seeds: int = param(
        256, "Seeds of the one-step table, each with every operator; 0: no table.", ge=0
    )
    held_out: int = param(64, "Seeds that only test policies; at most a third of all.", ge=0)
    policy_seeds: int = param(3, "Policies trained independently; the best one is kept.", ge=1)
    evaluate_every: int = param(5, "Updates between tests on held-out seeds; 0: none.", ge=0)
    updates: int = param(
        20, "Rollouts of one policy, each with its optimisation.", ge=1, counts_rows=True
    )
    episodes: int = param(32, "Episodes of one rollout.", ge=2)
    epochs: int = param(6, "Passes over the steps of a rollout.", ge=1)
    minibatch: int = param(48, "Steps of one optimiser step.", ge=1)
    learning_rate: float = param(
        0.01, "Of Adam.", source="benchmarks/operator_policy.py", gt=0.0, le=1.0
    )
    clip: float = param(
        0.2, "Epsilon of the policy objective.", source="PPO (1707.06347)", gt=0.0, le=1.0
    )
    gamma: float = param(
        0.0,
        "Discount; 0: only the operator's own reward counts.",
        source="benchmarks/operator_policy.py: 0.9 drowns it in noise",
        ge=0.0,
        le=1.0,
    )
    lam: float = param(0.95, "Lambda of GAE.", source="1506.02438", ge=0.0, le=1.0)
    value_coefficient: float = param(0.5, "Weight of the value loss.", ge=0.0)
    entropy_coefficient: float = param(0.005, "Weight of the entropy, nats.", ge=0.0)
    min_entropy: float = param(
        0.8, "Floor of the mean entropy, nats: an update ends before it falls below.", ge=0.0
    )
    max_kl: float = param(1.0, "Passes of an update end beyond it, nats per step.", gt=0.0)
    max_grad_norm: float = param(1.0, "Largest gradient norm of a step.", gt=0.0)
    hidden: int = param(64, "Width of the two hidden layers.", source="TeaMs-RL, its code", ge=1)
    text: bool = param(True, "Whether the policy sees the instruction.")
    allow_stop: bool = param(False, "Whether ending an episode is a choice of the policy.")
