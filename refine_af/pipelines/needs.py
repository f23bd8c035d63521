"""What one task needs of its device, by formula: bytes, seconds, and what would need less.

Legend: P parameters, L layers, h hidden size, i intermediate size, V vocabulary, A weights of the
adapter, B sequences at once, S tokens of a sequence, K bytes of the KV cache of one token.

Memory of an update is fitted to counts of the real modules at full size (``refine_af.ppo
.activations``, ``benchmarks/ppo_memory.py``); memory of writing and all hours are formulas that
nobody has measured. Time: training 6 P a token with recomputation (2 forward, 2 recomputed, 2
backward through frozen weights; 8 where all weights train) at 35 % of the GPU's peak; reading a
prompt 2 P a token at the same share; writing is bound by memory: B tokens cost one pass over the
weights and B S K at 60 % of the bandwidth, B being what 90 % of the GPU holds, at most 256.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from refine_af.contracts.params import Params, Scalar
from refine_af.engines.params import EngineParams
from refine_af.engines.scorers.opening import LEARNED, judge_engine
from refine_af.evolve.params import EvolutionParams
from refine_af.feedback.params import RewardParams
from refine_af.pipelines.backbones import Backbone
from refine_af.pipelines.devices import GIB, MEMORY_SHARE, Device
from refine_af.ppo.activations import is_recomputed, update_bytes
from refine_af.self_instruct.params import BootstrapParams, InstancesParams
from refine_af.sft.params import SFTParams
from refine_af.stages.audit_privacy import AuditParams
from refine_af.stages.train_ppo import TrainPPOParams

TRAINING_SHARE = 0.35
BANDWIDTH_SHARE = 0.6
AT_ONCE = 256
"""Most sequences that are written side by side (vLLM's default)."""

PROMPT_TOKENS = {"few_shot": 756, "plain": 120, "instruct": 180}
"""By style: of an instance prompt with LLaMA's tokenizer, counted; of a request to rewrite, counted
by characters. Other styles are taken for the longest."""
CLASSIFICATION_TOKENS = 320
"""Of a question whether an instruction is classification, with examples; counted by characters."""
ROW_TOKENS = 200
"""Assumed mean of a training row."""
PREFILL_TOKENS = 16384
"""Prompt tokens that the rollout reads at a time (engines/decode.py)."""
LOGIT_TILE = 4096 * 32768
"""Logits that fine-tuning makes at a time: tokens times words (TRL's ``add_fused_lm_head``)."""
TRL_LOGITS = 10
"""Bytes of a logit of an action's token under ``rloo`` and ``grpo``, assumed: TRL keeps them whole,
once in half precision and twice in float32."""
AUDITED_ROWS = 16
"""Rows that ``audit_privacy`` reads at a time (sft/losses.py)."""
CPU_CACHE = 2 * GIB
"""Keys and values of vLLM without a GPU (engines/vllm_text.py)."""
QUANTIZED = 0.55
"""Bytes of a weight in 4 bits with its scales; fp8 takes 1."""
EIGHT_BITS = ("fp8", "int8")
"""Words in the names of vLLM's quantizations with a byte a weight; all others have 4 bits."""

PUBLISHED_SCORERS = {
    "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5": 1.4e9,
    "MingZhong/unieval-dialog": 0.77e9,
    "openai-community/gpt2": 0.124e9,
}
"""Weights of the reward's default models."""

Change = dict[str, Scalar]
"""Parameters of a stage and other values for them."""


@dataclass(frozen=True, slots=True)
class Work:
    """A task: its parameters, the shapes of its models, how much it does and where.

    Attributes:
        params: Of the stage.
        model: The shape of ``model``.
        scorers: Weights of all models of the reward.
        reviewer: The shape of a second model that judges rewrites here; None without one.
        calls: Requests, episodes, or rows.
        tokens: New tokens of all of them.
        device: One of those that it runs on.
        devices: How many a task has.
        adapted: Whether it applies an adapter.
    """

    params: Params
    model: Backbone
    scorers: float
    reviewer: Backbone | None
    calls: int
    tokens: int
    device: Device
    devices: int
    adapted: bool


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of one device, the most that it may be given, and seconds; None without a pace."""

    memory: float
    limit: float
    seconds: float | None

    @property
    def fits(self) -> bool:
        """Return whether the device has enough."""
        return self.memory <= self.limit


def need(work: Work) -> Need:
    """Return what a task needs."""
    params = work.params
    if isinstance(params, TrainPPOParams):
        return _ppo(work, params)
    if isinstance(params, SFTParams):
        return Need(0.0, _limit(work), None) if params.device == "cpu" else _tuning(work, params)
    if isinstance(params, EngineParams):
        return _writing(work, params)
    if isinstance(params, RewardParams):
        return _scoring(work, params)
    if isinstance(params, AuditParams):
        return _auditing(work)
    raise TypeError(f"{type(params).__name__}: no formula")


def _seconds(work: Work, operations: float, writing: float = 0.0) -> float | None:
    """Return the time of so many operations and bytes read."""
    if work.device.peak is None or work.device.bandwidth is None:
        return None
    return operations / (TRAINING_SHARE * work.device.peak) + writing / (
        BANDWIDTH_SHARE * work.device.bandwidth
    )


def _limit(work: Work, share: float = 1.0) -> float:
    return min(MEMORY_SHARE, share) * work.device.memory


# Writing


def _writing(work: Work, params: EngineParams) -> Need:
    """Return what a text engine needs at least."""
    length = prompt_tokens(params) + work.tokens / max(work.calls, 1)
    weights = _engine_weights(work.model, params, work.device)
    width = _width(params.dtype, work.device)
    memory = weights + (2 * work.model.adapter_weights(params.max_lora_rank) if work.adapted else 0)
    shares = params.tensor_parallel_size if params.engine == "vllm" else 1
    memory += _cache(work, params, length)
    if work.reviewer is not None:
        memory += _engine_weights(work.reviewer, params, work.device)
    share = params.gpu_memory_utilization if params.engine == "vllm" and work.device.gpu else 1.0
    limit = _limit(work, share)
    room = limit * shares - weights
    at_once = _side_by_side(room, length * work.model.cache_bytes(width))
    if params.engine == "transformers":
        at_once = min(at_once, params.engine_batch)
    if isinstance(params, BootstrapParams):
        at_once = min(at_once, params.round_size)  # a round's prompts are drawn from a whole pool
    read = length * work.calls - work.tokens
    if isinstance(params, InstancesParams) and params.split == "classification":
        read += CLASSIFICATION_TOKENS * work.calls / params.samples
    reading = 2 * work.model.parameters * read
    seconds = _seconds(
        work, reading / shares, _bytes_read(work, weights, length, at_once, width) / shares
    )
    return Need(memory / shares, limit, seconds)


def _side_by_side(room: float, sequence: float) -> int:
    """Return how many sequences of so many bytes are written at once."""
    return max(1, min(AT_ONCE, int(room / sequence))) if sequence else AT_ONCE


def _bytes_read(work: Work, weights: float, length: float, at_once: int, width: int) -> float:
    """Return the bytes that writing all tokens reads, so many sequences at a time."""
    return work.tokens / at_once * (weights + at_once * length * work.model.cache_bytes(width))


def _cache(work: Work, params: EngineParams, length: float) -> float:
    """Return keys and values, and for transformers what reading a batch holds."""
    width = _width(params.dtype, work.device)
    if params.engine == "transformers":
        read = min(PREFILL_TOKENS, params.engine_batch * length)
        held = params.engine_batch * length * work.model.cache_bytes(width)
        return held + read * _reading_bytes(work.model, width)
    if not work.device.gpu:
        return CPU_CACHE
    positions = max(length, params.max_model_len or work.model.context)
    return positions * work.model.cache_bytes(width)  # vLLM starts only with room for one whole


def _reading_bytes(model: Backbone, width: int) -> float:
    return width * (4 * model.hidden + 3 * model.intermediate)


def _engine_weights(model: Backbone, params: EngineParams, device: Device) -> float:
    if params.engine == "vllm" and params.quantization:
        eight = any(word in params.quantization.lower() for word in EIGHT_BITS)
        return (1.0 if eight else QUANTIZED) * model.parameters
    return _width(params.dtype, device) * model.parameters


def _width(dtype: str, device: Device) -> int:
    """Return the bytes of a number in a precision."""
    if dtype == "auto":
        return device.width
    return 4 if dtype == "float32" else 2


def prompt_tokens(params: Params) -> float:
    """Return the tokens of a prompt of the stage."""
    style = params.model_dump().get("style", "")
    return PROMPT_TOKENS.get(style, PROMPT_TOKENS["few_shot"])


# The other stages with a model


def scorer_models(params: RewardParams) -> list[str]:
    """Return the models that the reward loads, those of the package and endpoints aside."""
    models = [getattr(params, name) for name in params.scorers if name in LEARNED]
    if "judge" in params.scorers and judge_engine(params).engine in ("transformers", "vllm"):
        models.append(params.judge)
    return [str(model) for model in models if not str(model).startswith("builtin:")]


def _scorer_bytes(work: Work, params: RewardParams) -> float:
    return 0.0 if params.scorer_device == "cpu" else work.device.width * work.scorers


def _scoring(work: Work, params: RewardParams) -> Need:
    seconds = _seconds(work, 2 * work.scorers * work.calls * ROW_TOKENS)
    return Need(_scorer_bytes(work, params), _limit(work), seconds)


def _auditing(work: Work) -> Need:
    """Return what reading rows for their loss needs: logits of whole rows stand twice."""
    tokens = AUDITED_ROWS * (PROMPT_TOKENS["plain"] + work.tokens / max(work.calls, 1))
    width = work.device.width
    memory = width * work.model.parameters + tokens * _reading_bytes(work.model, width)
    memory += tokens * work.model.vocabulary * (width + 4)
    reading = 2 * work.model.parameters * work.calls * ROW_TOKENS
    return Need(memory, _limit(work), _seconds(work, reading))


def _tuning(work: Work, params: SFTParams) -> Need:
    model = work.model
    width = _width(params.dtype, work.device)
    half, ranks = width == 2, _ranks(work, params)
    read = rows_at_once(params, ranks) * params.max_length
    full = params.method == "full"
    memory = 16 * model.parameters + 2 * half * model.parameters
    if not full:
        memory = (model.nf4_bytes() if params.method == "qlora" else width * model.parameters) + (
            16 + 2 * half
        ) * model.adapter_weights(params.lora_rank)
    memory += update_bytes(
        model.layer_shape,
        read,
        half=half,
        recomputed=params.gradient_checkpointing,
        dropout=not full and params.lora_dropout > 0,
    )
    memory += width * LOGIT_TILE
    operations = (8 if full else 6) * model.parameters * _rows(work, params) * ROW_TOKENS
    return Need(memory, _limit(work), _seconds(work, operations / ranks))


def _rows(work: Work, params: SFTParams) -> float:
    """Return the rows that all steps train on together."""
    if params.max_steps:
        return params.max_steps * params.batch_size
    rows = min(work.calls, params.rows) if params.rows else work.calls
    return rows * params.epochs


def rows_at_once(params: SFTParams, ranks: int) -> int:
    """Return the rows of one forward pass of a process."""
    return max(1, params.batch_size // params.pieces(ranks))


def _ranks(work: Work, params: TrainPPOParams | SFTParams) -> int:
    return (params.processes or work.devices) * params.nodes


# PPO


def _ppo(work: Work, params: TrainPPOParams) -> Need:
    """Return what acting, scoring and optimisation need; one copy of the weights."""
    ranks = _ranks(work, params)
    length = prompt_tokens(params) + work.tokens / work.calls
    still = _ppo_weights(work, params) / (ranks if params.sharded else 1)
    still += _scorer_bytes(work, params)
    half = _is_half(work, params)
    rows = microbatch(params, ranks)
    tokens = int(rows * length)
    shape = work.model.layer_shape
    twice = is_recomputed(shape, tokens, half=half)
    improving = update_bytes(shape, tokens, half=half, recomputed=twice)
    if params.algorithm != "ppo":
        improving += TRL_LOGITS * rows * work.tokens / work.calls * work.model.vocabulary
    memory = still + max(_acting(work, params, length), improving)
    # Reference and old policy once, 2 P a token each; then every pass of the optimiser.
    passes = 4 + (6 if twice else 4) * params.epochs
    operations = work.calls * length * (passes * work.model.parameters + 2 * work.scorers)
    operations += 2 * work.model.parameters * (work.calls * length - work.tokens)
    width = work.device.width
    weights = width * work.model.parameters
    room = MEMORY_SHARE * work.device.memory - weights
    at_once = _side_by_side(room, length * work.model.cache_bytes(width))
    if params.rollout == "transformers":
        at_once = min(at_once, _acting_rows(params, ranks))
    written = _bytes_read(work, weights, length, at_once, width)
    return Need(memory, _limit(work), _seconds(work, operations / ranks, written / ranks))


def _ppo_weights(work: Work, params: TrainPPOParams) -> float:
    """Return weights, gradients and moments: 4 bytes each where trained, 2 for autocast's copy."""
    model = work.model
    trained = 16 + 2 * _is_half(work, params)
    if not params.lora_rank and not params.trained_weights:
        return (trained + work.device.width) * model.parameters  # a frozen copy is the reference
    if params.quantization == "nf4":
        return model.nf4_bytes() + trained * model.adapter_weights(params.lora_rank)
    frozen = work.device.width * model.parameters
    copies = 1 if params.lora_rank else 2
    return copies * frozen + trained * model.adapter_weights(params.lora_rank)


def _is_half(work: Work, params: TrainPPOParams) -> bool:
    """Return whether products run in bfloat16: on a GPU the weights are in it."""
    return work.device.gpu or params.precision == "bfloat16"


def microbatch(params: TrainPPOParams, ranks: int) -> int:
    """Return the most episodes that a process reads at once."""
    return min(params.microbatch, -(-params.minibatch // ranks))


def _acting_rows(params: TrainPPOParams, ranks: int) -> int:
    """Return the episodes that a process writes at once; TRL writes all of an update."""
    if params.algorithm != "ppo":
        return params.episodes_per_update
    return min(params.rollout_batch, -(-params.episodes_per_update // ranks))


def _acting(work: Work, params: TrainPPOParams, length: float) -> float:
    """Return what a rollout holds besides what stands still."""
    if params.rollout == "vllm_server":
        return 0.0
    width = work.device.width
    weights = width * work.model.parameters
    if params.rollout == "vllm":
        own = params.rollout_memory * work.device.memory
        return own if work.device.gpu else weights + CPU_CACHE
    ranks = _ranks(work, params)
    rows = _acting_rows(params, ranks)
    held = rows * length * work.model.cache_bytes(width)
    gathered = (
        weights * (1 - 1 / ranks) if params.sharded else 0.0
    )  # whole while tokens are written
    read = min(PREFILL_TOKENS, rows * length)
    return held + read * _reading_bytes(work.model, width) + gathered


# What would need less


def cures(params: Params, devices: int) -> Iterator[Change]:
    """Yield changes that lower a task's memory, those that cost least first."""
    if isinstance(params, TrainPPOParams):
        yield from _ppo_cures(params)
    elif isinstance(params, SFTParams):
        yield from _tuning_cures(params, devices)
    elif isinstance(params, EngineParams):
        yield from _writing_cures(params)
    elif isinstance(params, RewardParams):
        yield {"scorer_device": "cpu"}


def _halved(value: int, least: int = 1) -> Iterator[int]:
    while value >= 2 * least:
        value //= 2
        yield value


def _ppo_cures(params: TrainPPOParams) -> Iterator[Change]:
    fewer: list[int] = []
    if params.rollout == "transformers" and params.algorithm == "ppo":
        fewer = list(_halved(min(params.rollout_batch, params.episodes_per_update), 4))
    smaller = list(_halved(params.microbatch))
    steps: list[Change] = [{"rollout_batch": count} for count in fewer]
    steps += [{"microbatch": rows} for rows in smaller]
    both = chain(fewer, fewer[-1:] * len(smaller))
    steps += [
        {"microbatch": rows, "rollout_batch": count}
        for rows, count in zip(smaller, both, strict=False)
    ]
    yield from steps
    if params.quantization == "none" and params.lora_rank > 0 and not params.sharded:
        four_bits: Change = {"quantization": "nf4"}
        yield from (four_bits | step for step in [{}, *steps])


def _tuning_cures(params: SFTParams, devices: int) -> Iterator[Change]:
    ranks = (params.processes or devices) * params.nodes
    finer: list[Change] = [
        {"gradient_accumulation": params.batch_size // rows}
        for rows in _halved(rows_at_once(params, ranks))
        if params.batch_size % rows == 0
    ]
    if not params.gradient_checkpointing:
        yield {"gradient_checkpointing": True}
    yield from finer
    for method in {"full": ("lora", "qlora"), "lora": ("qlora",)}.get(params.method, ()):
        change: Change = {"method": method}
        yield from (change | step for step in [{}, *finer])


def _writing_cures(params: EngineParams) -> Iterator[Change]:
    if params.engine == "transformers":
        for count in _halved(params.engine_batch):
            yield {"engine_batch": count}
        yield {"engine": "vllm"}
        return
    least = 4096 if not isinstance(params, EvolutionParams) else 8192
    shorter: Change = {"max_model_len": least}
    if not params.max_model_len or params.max_model_len > least:
        yield shorter
    for count in (2, 4, 8):
        if count > params.tensor_parallel_size:
            yield {"tensor_parallel_size": count}
            yield {"tensor_parallel_size": count} | shorter
