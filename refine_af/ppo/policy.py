"""The policy: one causal language model with a value head, and the start model as reference.

With LoRA there is one copy of the weights, and the reference is the model with its adapter
switched off. With full fine-tuning the reference is a frozen copy. Modules stay in evaluation mode
throughout: dropout would make the acting and the trained policy differ.
"""

import copy
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from refine_af.contracts.errors import ParameterError
from refine_af.contracts.randomness import derive
from refine_af.ppo.activations import LayerShape, is_recomputed
from refine_af.ppo.output_layer import finished, inputs_kept, require_same, token_readings
from refine_af.ppo.packing import Packed, can_pack, packed
from refine_af.ppo.padding import Batch
from refine_af.ppo.params import PPOParams
from refine_af.ppo.recompute import Recomputation

HALF = (torch.bfloat16, torch.float16)
SAME_READING = {False: 1e-3, True: 0.05}
"""Mean difference of log-probabilities, nats, that two ways of reading may have: by rounding in
float32, and in half precision. A wrong mask is far above it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The policy's outputs for a batch, [B, A] float32; positions outside the action are noise.

    Attributes:
        logprobs: Log-probability of each taken token, in nats.
        values: Expected return of the state before each taken token, in reward units.
        entropy: Of the distribution that each token was taken from, in nats; where asked for.
    """

    logprobs: Tensor
    values: Tensor
    entropy: Tensor | None


def layer_shape(config: Any) -> LayerShape:  # noqa: ANN401  transformers' configuration
    """Return the sizes that a model's activations depend on."""
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return LayerShape(config.num_hidden_layers, config.hidden_size, inner)


class Policy(nn.Module):
    """Language model, value head and reference.

    Attributes:
        model: The trained causal LM (a ``PeftModel`` with LoRA); engines may decode from it.
        value_head: H -> 1 in float32, all zeros at first: every value starts at 0.
        reference: The frozen copy of full fine-tuning; None with LoRA.
        sharded: Whether processes share the weights, see :mod:`refine_af.ppo.sharding`.
        recomputation: The switch of gradient checkpointing; the trainer sets it.
        start_digest: Digest of the start weights, where they are no longer whole.
        packs: Whether a beginning that the prompts of a batch share is read once, see
            :mod:`refine_af.ppo.packing`; None until the first such batch was read both ways.
        start_dtype: Precision that the model came in, and that a whole model is saved in.
    """

    def __init__(self, model: PreTrainedModel, settings: PPOParams, *, base_name: str = "") -> None:
        """Prepare ``model`` for training, in place.

        Args:
            model: A transformers causal LM without an adapter.
            settings: Of the run.
            base_name: What the saved adapter names as its base; the model's own name if empty.

        Raises:
            ParameterError: When the model already holds an adapter.
        """
        super().__init__()
        if isinstance(model, PeftModel):
            raise ParameterError(
                "the model holds a PEFT adapter, so the start model would not be the reference;"
                " merge it first (merge_and_unload) or pass its base"
            )
        self._temperature = settings.temperature
        self._detach_value = settings.detach_value
        self.start_dtype = model.dtype
        self._half = settings.precision == "bfloat16" or model.dtype in HALF
        self.output_checked = False
        self.sharded = False
        self.start_digest = ""
        self.packs: bool | None = None
        self.reference: PreTrainedModel | None = None
        self.model: PreTrainedModel
        if settings.lora_rank:
            self.model = _with_adapter(model, settings, base_name)
        else:
            _train_in_float32(model, settings.trained_weights)
            self.reference = copy.deepcopy(model).requires_grad_(False)
            self.model = model
        self.recomputation = Recomputation(self.model)
        # skip_init: the random start of a Linear would draw from torch's global generator.
        self.value_head: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, self.config.hidden_size, 1, device=self.device
        )
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.eval()

    @property
    def config(self) -> Any:  # noqa: ANN401  transformers' configuration
        """Return the configuration of the language model (of a multi-modal one, its text part)."""
        return self.model.config.get_text_config()

    @property
    def device(self) -> torch.device:
        """Return where the model's first weights lie; batches must be there too."""
        return next(self.model.parameters()).device

    def prepare(self, tokens: int) -> None:
        """Switch gradient checkpointing on where a forward pass of ``tokens`` needs it."""
        self.recomputation.on = is_recomputed(layer_shape(self.config), tokens, half=self._half)

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that training changes, by name, value head included."""
        return {name: tensor for name, tensor in self.named_parameters() if tensor.requires_grad}

    def forward(self, batch: Batch, *, entropy: bool = False) -> Evaluation:
        """Return log-probabilities, values and, where asked, entropies of the taken tokens."""
        logprobs, spread, hidden = self._read(self.model, batch, entropy=entropy)
        states = widened(hidden)
        values = self.value_head(states.detach() if self._detach_value else states).squeeze(-1)
        return Evaluation(logprobs, values, spread)

    @torch.no_grad()
    def reference_logprobs(self, batch: Batch) -> Tensor:
        """Return the taken tokens' log-probabilities under the start model, [B, A] float32."""
        if self.reference is not None:
            return self._read(self.reference, batch)[0]
        with self.model.disable_adapter():  # type: ignore[operator]
            return self._read(self.model, batch)[0]

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of forward passes, for callers that run the model directly.

        Products run in bfloat16 where the settings say so or the model came in a half precision;
        trained weights are float32 in any case.
        """
        if not self._half:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _read(
        self, model: PreTrainedModel, batch: Batch, *, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return log-probabilities, entropies and last hidden states [B, A, H] of taken tokens."""
        row = packed(batch) if self._may_pack() else None
        if row is not None and self.packs is None:
            with torch.no_grad():
                apart = self._read_as(model, batch, None)[0] - self._read_as(model, batch, row)[0]
            self.packs = bool(apart[batch.action].abs().mean() < SAME_READING[self._half])
        return self._read_as(model, batch, row if self.packs else None, entropy=entropy)

    def _may_pack(self) -> bool:
        # of sharded weights every process must run the same layers at the same time
        return self.packs is not False and not self.sharded and can_pack(self.config)

    def _read_as(
        self, model: PreTrainedModel, batch: Batch, row: Packed | None, *, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return as :meth:`_read`, from the padded batch or from the same episodes in one row.

        The model makes the logits of one column only; those of the others come in chunks.
        """
        layer = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        with self.autocast():
            with inputs_kept(layer) as kept:
                own = self._logits(model, batch) if row is None else self._packed_logits(model, row)
            hidden = kept[0].view(*batch.action.shape, -1)

            def logits(states: Tensor) -> Tensor:
                return widened(finished(layer(states), self.config))

            if not self.output_checked:
                with torch.no_grad():
                    require_same(widened(own), logits(kept[0][:, :1]), type(model).__name__)
                self.output_checked = True
            logprobs, spread = token_readings(
                lambda states: self._tempered(logits(states)),
                hidden,
                batch.taken,
                own.shape[-1],
                entropy=entropy,
            )
        return logprobs, spread, hidden

    def _tempered(self, logits: Tensor) -> Tensor:
        return logits if self._temperature == 1 else logits / self._temperature

    def _logits(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """Run the model for the columns of the action.

        The logits that a token was drawn from stand one column before it; no others are made.
        """
        width, count = batch.tokens.shape[1], batch.action.shape[1]
        columns = torch.arange(width - count - 1, width - 1, device=batch.tokens.device)
        logits: Tensor = model(
            input_ids=batch.tokens,
            attention_mask=batch.real.long(),
            position_ids=batch.positions,
            logits_to_keep=columns,
            use_cache=False,
        ).logits
        return logits

    def _packed_logits(self, model: PreTrainedModel, row: Packed) -> Tensor:
        """Run the model over one packed row; columns are [1, B * A]."""
        dtype = torch.bfloat16 if self._half else model.dtype
        logits: Tensor = model(
            input_ids=row.tokens,
            attention_mask=row.mask(self.config, dtype),
            position_ids=row.positions,
            logits_to_keep=row.columns,
            use_cache=False,
        ).logits
        return logits


def widened(values: Tensor) -> Tensor:
    """Return half-precision values as float32, and others unchanged: sums need the precision."""
    return values.float() if values.dtype in HALF else values


def train_weights(model: PreTrainedModel, pattern: str) -> None:
    """Let the weights train whose whole names match ``pattern``, or all where it is empty.

    Raises:
        ParameterError: When no weight matches.
    """
    names = [name for name, _ in model.named_parameters()]
    chosen = {name for name in names if re.fullmatch(pattern or ".*", name)}
    if not chosen:
        raise ParameterError(
            f"trained_weights {pattern!r} matches none of the {len(names)} weights; their names are"
            f" such as {names[0]} and {names[-1]}"
        )
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in chosen)


def _train_in_float32(model: PreTrainedModel, pattern: str) -> None:
    """Let weights train, in float32: AdamW's steps of 1e-5 round away in bfloat16."""
    train_weights(model, pattern)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = widened(weight.data)


def adapter_config(settings: PPOParams) -> LoraConfig:
    """Return LoRA on the chosen layers, without dropout."""
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        target_modules=settings.lora_targets,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _with_adapter(model: PreTrainedModel, settings: PPOParams, base_name: str) -> PreTrainedModel:
    """Return the model with a fresh LoRA adapter.

    The adapter's start is drawn under the run's seed, apart from torch's global generator.

    Raises:
        ParameterError: When no layer has a name that ``lora_targets`` matches.
    """
    config = adapter_config(settings)
    with torch.random.fork_rng():
        torch.manual_seed(derive(settings.seed, "ppo-adapter"))
        try:
            adapted = get_peft_model(model, config)
        except ValueError as error:
            names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
            raise ParameterError(
                f"lora_targets {settings.lora_targets!r}: {error}; write all-linear or a regular"
                f" expression of whole module names, such as {names[0]}"
            ) from None
    if base_name:
        adapted.peft_config["default"].base_model_name_or_path = base_name
    return cast(PreTrainedModel, adapted)
