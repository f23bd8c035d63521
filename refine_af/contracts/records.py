"""The rows of every artifact, kept or rejected, and their content-derived ids.

An id is a digest of what the row says and of the rows it was made from, so that the same row has
the same id in every run, shard and retry, and two rows with one id are one row.
"""

import hashlib
import json
from abc import abstractmethod
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=1_000_000)]
NonEmptyText = Annotated[str, Field(min_length=1, max_length=1_000_000)]
NEW = "new"
"""Id of a row before :meth:`MadeRow.with_derived_id`."""
_CANONICAL = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
)


def content_id(kind: str, *content: object) -> str:
    """Return ``<kind>-<16 hex digits>`` for JSON-serialisable content (64 bits of SHA-256)."""
    text = _CANONICAL.encode(content)
    return f"{kind}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


class Row(BaseModel):
    """A row of an artifact; columns that it does not know are not read.

    Attributes:
        id: Content-derived, see :func:`content_id`.
        parents: Ids of the rows that this one was made from, in order.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    id: NonEmptyText
    parents: tuple[str, ...] = ()


class MadeRow(Row):
    """A row whose id follows from its content."""

    @abstractmethod
    def derived_id(self) -> str:
        """Return the id that the content makes."""

    def with_derived_id(self) -> Self:
        """Return the row with the id that its content makes."""
        return self.model_copy(update={"id": self.derived_id()})


class Pair(BaseModel):
    """One input (may be empty) with its output."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input: Text = ""
    output: NonEmptyText


class Seed(MadeRow):
    """A seed task. ``seed_id`` is the id in the file it came from.

    A seed of a plain list of instructions has no instances.
    """

    seed_id: NonEmptyText
    name: Text
    instruction: NonEmptyText
    instances: tuple[Pair, ...]
    is_classification: bool
    licence: str = "unknown"

    @classmethod
    def make(
        cls,
        seed_id: str,
        name: str,
        instruction: str,
        instances: tuple[Pair, ...],
        is_classification: bool,
        licence: str,
    ) -> Self:
        """Return the seed with its derived id."""
        return cls(
            id=NEW,
            seed_id=seed_id,
            name=name,
            instruction=instruction,
            instances=instances,
            is_classification=is_classification,
            licence=licence,
        ).with_derived_id()

    def derived_id(self) -> str:
        """Return the id of instruction and instances."""
        pairs = [[pair.input, pair.output] for pair in self.instances]
        return content_id("seed", self.instruction, pairs)


class Instruction(MadeRow):
    """A machine-written instruction.

    Attributes:
        request: Number of the request whose completion held it, within its shard.
        position: Index of the piece in that completion, from 0.
        shard: Shard of the bootstrap that made it, from 0.
    """

    instruction: NonEmptyText
    request: int = 0
    position: int = 0
    shard: int = 0

    @classmethod
    def make(
        cls, instruction: str, parents: tuple[str, ...], request: int, position: int, shard: int
    ) -> Self:
        """Return the instruction with its derived id."""
        return cls(
            id=NEW,
            parents=parents,
            instruction=instruction,
            request=request,
            position=position,
            shard=shard,
        ).with_derived_id()

    def derived_id(self) -> str:
        """Return the id of text, parents and position."""
        return content_id(
            "ins", self.instruction, self.parents, self.request, self.position, self.shard
        )


class Rejected(Row):
    """A row that a stage dropped, with the reason.

    Attributes:
        stage: The stage that dropped it.
        reason: A short fixed word, such as ``too_short`` or ``similar``; see each stage's page.
        text: The dropped text, unchanged.
        neighbour: Id of the row that it repeats, where the reason is its similarity.
        score: Similarity to the neighbour, or the value that broke the rule.
        detail: What a person needs to understand the decision.
        request: The model call that wrote it, see :class:`ModelCall`; empty where none did.
    """

    stage: NonEmptyText
    reason: NonEmptyText
    text: Text
    neighbour: str | None = None
    score: float | None = None
    detail: str = ""
    request: str = ""

    @classmethod
    def make(
        cls,
        stage: str,
        reason: str,
        text: str,
        parents: tuple[str, ...] = (),
        *,
        key: str = "",
        neighbour: str | None = None,
        score: float | None = None,
        detail: str = "",
        request: str = "",
    ) -> Self:
        """Return the rejection; ``key`` keeps the ids of a text dropped twice apart."""
        return cls(
            id=content_id("rej", stage, reason, text, parents, key),
            parents=parents,
            stage=stage,
            reason=reason,
            text=text,
            neighbour=neighbour,
            score=score,
            detail=detail,
            request=request,
        )


class Instance(MadeRow):
    """An instruction-input-output triplet. ``parents`` holds the instruction's id.

    ``total`` and ``parts`` are set by ``score_rewards`` and absent before it.
    """

    instruction: NonEmptyText
    input: Text = ""
    output: NonEmptyText
    is_classification: bool = False
    sample: int = 0
    total: float | None = None
    parts: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def make(
        cls,
        parent: str,
        instruction: str,
        input_text: str,
        output: str,
        *,
        is_classification: bool,
        sample: int,
    ) -> Self:
        """Return the instance with its derived id."""
        return cls(
            id=NEW,
            parents=(parent,),
            instruction=instruction,
            input=input_text,
            output=output,
            is_classification=is_classification,
            sample=sample,
        ).with_derived_id()

    def derived_id(self) -> str:
        """Return the id of triplet, parent and sample; scores do not change it."""
        parent = self.parents[0] if self.parents else ""
        return content_id("pair", parent, self.instruction, self.input, self.output, self.sample)


class Evolved(Row):
    """An instruction that textual operations made of a seed; ``parents`` holds the row before it.

    Attributes:
        instruction: The text.
        input: What it is to be applied to; empty where it has none or must be written anew.
        root: Id of the seed.
        step: Operations tried up to it, from 1; 0 for the seed itself.
        operator: Name of the operation that made it; empty for the seed itself.
        probability: Of that choice under the policy.
        policy: Kind of policy, and its digest where it was learned.
        operators: Digest of the operators' file.
        changed: The reviewer's probability that it differs from its parent, both orders averaged.
        reward: Of the operation.
        parts: Of the reward.
        cluster: Of the seed, from 0.
    """

    instruction: NonEmptyText
    input: Text = ""
    root: NonEmptyText
    step: int = 0
    operator: str = ""
    probability: float = 1.0
    policy: str = ""
    operators: str = ""
    changed: float | None = None
    reward: float = 0.0
    parts: dict[str, float] = Field(default_factory=dict)
    cluster: int = 0


class OperatorStep(Row):
    """One choice of an operator, what the policy saw, and what came of it.

    With these rows every update of a policy can be repeated without a language model.

    Attributes:
        phase: ``train``, ``held_out``, ``table`` or ``evolve``.
        policy_seed: Which of the trained policies chose, from 0.
        update: Rollout within its training, or pass over the seeds, from 0.
        episode: Within the rollout, from 0.
        root: Id of the seed.
        step: Operations tried before this one, from 0.
        before: The instruction that the policy saw.
        before_input: Its input.
        last: Index of the operator before; the number of operators where none was.
        words_ratio: Words of ``before`` over words of the root.
        similarity: Largest cosine of ``before`` with the memory bank when it was written.
        action: Index of the chosen operator; the number of operators means stop.
        operator: Its name.
        log_prob: Of the choice, nats, under the policy that made it.
        text: What the rewriter wrote.
        status: ``kept``, ``rejected`` or ``stopped``.
        reason: The broken rule; empty when kept.
        detail: What a person needs to understand it.
        labels: What the reviewer answered, per presentation order.
        changed: The reviewer's probability that it differs; None where it was not asked.
        reward: What the policy got.
        parts: ``valid``, ``changed``, ``novelty`` and, where asked for, ``frontier``.
        cluster: Of the seed.
    """

    phase: Literal["train", "held_out", "table", "evolve"]
    policy_seed: int
    update: int
    episode: int
    root: NonEmptyText
    step: int
    before: Text
    before_input: Text
    last: int
    words_ratio: float
    similarity: float
    action: int
    operator: str
    log_prob: float
    text: Text
    status: Literal["kept", "rejected", "stopped"]
    reason: str = ""
    detail: str = ""
    labels: tuple[str, ...] = ()
    changed: float | None = None
    reward: float
    parts: dict[str, float] = Field(default_factory=dict)
    cluster: int = 0


class ModelCall(Row):
    """One call of a text engine: what was asked and every character that came back.

    ``parents`` holds the rows that the prompt shows. With these rows every later step can be
    taken again without the model.

    Attributes:
        request: Name of the call within its stage, such as ``shard-0-request-17`` or
            ``<instruction id>/<sample>``; rows that came of it carry it.
        prompt_digest: SHA-256 of the rendered prompt.
        seed: Of the call's sampling.
        sampling: Temperature, limits, stop texts, and the form that was asked for.
        finish: ``stop``, ``length`` or ``error``.
        prompt_tokens: Tokens read.
        tokens: Tokens written.
        text: The answer, with U+FFFD for characters that a row cannot hold.
        thinking: The think block in front of it, which is not part of the answer; else empty.
        escaped: The answer as a JSON literal, where ``text`` differs from it.
        error: What went wrong, for ``finish == "error"``.
    """

    request: NonEmptyText
    prompt_digest: str
    seed: int
    sampling: dict[str, float | int | str | tuple[str, ...]]
    finish: Literal["stop", "length", "error"]
    prompt_tokens: int
    tokens: int
    text: Text
    escaped: str = ""
    error: str = ""
    thinking: Text = ""

    @property
    def answer(self) -> str:
        """Return the answer as it came."""
        return str(json.loads(self.escaped)) if self.escaped else self.text


class Prediction(Row):
    """One answer of one model to one evaluation instance, with its scores in [0, 1].

    ``failed`` says why the engine gave no answer; such a row counts as an empty answer.
    ``input`` is the instance's own text, empty where only its id was known. ``thinking`` is the
    think block in front of the answer, which is not scored.
    """

    task: NonEmptyText
    category: str
    instance: NonEmptyText
    prediction: Text
    references: tuple[str, ...]
    rouge_l: float
    exact_match: float
    failed: str = ""
    input: Text = ""
    thinking: Text = ""
