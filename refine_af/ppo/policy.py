"""The policy: one causal language model with a value head, and the start model as reference.

With LoRA there is one copy of the weights, and the reference is the model with its adapter
switched off. With full fine-tuning the reference is a frozen copy. Modules stay in evaluation
mode throughout, so no dropout makes the acting and the trained policy two different ones.
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
from refine_af.ppo.losses import entropies, log_probabilities
from refine_af.ppo.padding import Batch
from refine_af.ppo.settings import PPOSettings


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the policy says about a batch, [B, A] float32; places outside the action are noise.

    Attributes:
        logprobs: Log-probability of each taken token, in nats.
        values: Expected return of the state before each taken token, in reward units.
        entropy: Of the distribution that each token was taken from, in nats; where asked for.
    """

    logprobs: Tensor
    values: Tensor
    entropy: Tensor | None


class Policy(nn.Module):
    """Language model, value head and reference.

    Attributes:
        model: The trained causal LM (a ``PeftModel`` with LoRA); engines may decode from it.
        value_head: H -> 1 in float32, all zeros at first: every value starts at 0.
        reference: The frozen copy of full fine-tuning; None with LoRA.
        sharded: Whether processes share the weights, see :mod:`refine_af.ppo.sharding`.
    """

    def __init__(
        self, model: PreTrainedModel, settings: PPOSettings, *, base_name: str = ""
    ) -> None:
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
        self._precision = settings.precision
        self.sharded = False
        self.reference: PreTrainedModel | None = None
        self.model: PreTrainedModel
        if settings.lora_rank:
            self.model = _with_adapter(model, settings, base_name)
        else:
            self.reference = copy.deepcopy(model).requires_grad_(False)
            self.model = model
            train_weights(model, settings.trained_weights)
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

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that training changes, by name, value head included."""
        return {name: one for name, one in self.named_parameters() if one.requires_grad}

    def forward(self, batch: Batch, *, entropy: bool = False) -> Evaluation:
        """Return log-probabilities, values and, where asked, entropies of the taken tokens.

        Logits are made for the action's columns only; the largest tensor is [B, A, V].
        """
        with self.autocast():
            logits, hidden = self._run(self.model, batch)
        values = self.value_head(hidden.detach() if self._detach_value else hidden).squeeze(-1)
        spread = entropies(logits) if entropy else None  # first: the next line uses the logits up
        return Evaluation(log_probabilities(logits, batch.taken), values, spread)

    @torch.no_grad()
    def reference_logprobs(self, batch: Batch) -> Tensor:
        """Return the taken tokens' log-probabilities under the start model, [B, A] float32."""
        with self.autocast():
            if self.reference is not None:
                logits, _ = self._run(self.reference, batch)
            else:
                with self.model.disable_adapter():  # type: ignore[operator]
                    logits, _ = self._run(self.model, batch)
        return log_probabilities(logits, batch.taken)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of the settings' precision, for whoever runs the model itself."""
        if self._precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _run(self, model: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return tempered logits [B, A, V] and last hidden states [B, A, H] float32.

        The logits that a token was drawn from stand one column before it; no others are made.
        """
        width, count = batch.tokens.shape[1], batch.action.shape[1]
        columns = torch.arange(width - count - 1, width - 1, device=batch.tokens.device)
        found = model(
            input_ids=batch.tokens,
            attention_mask=batch.real.long(),
            position_ids=batch.positions,
            logits_to_keep=columns,
            output_hidden_states=True,
            use_cache=False,
        )
        logits = widened(found.logits)
        if self._temperature != 1:
            logits = logits / self._temperature
        return logits, widened(found.hidden_states[-1][:, columns])


def widened(values: Tensor) -> Tensor:
    """Return half-precision values as float32 and others as they are: sums need the digits."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def train_weights(model: PreTrainedModel, pattern: str) -> None:
    """Let the weights train whose whole names match ``pattern``, or all where it is empty.

    Raises:
        ParameterError: When no weight matches, or the pattern is no regular expression.
    """
    names = [name for name, _ in model.named_parameters()]
    try:
        chosen = {name for name in names if re.fullmatch(pattern or ".*", name)}
    except re.error as error:
        raise ParameterError(f"trained_weights {pattern!r} is no pattern: {error}") from None
    if not chosen:
        raise ParameterError(
            f"trained_weights {pattern!r} matches none of the {len(names)} weights; their names are"
            f" such as {names[0]} and {names[-1]}"
        )
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in chosen)


def adapter_config(settings: PPOSettings) -> LoraConfig:
    """Return LoRA on the chosen layers, without dropout."""
    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        target_modules=settings.lora_targets,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _with_adapter(model: PreTrainedModel, settings: PPOSettings, base_name: str) -> PreTrainedModel:
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
        except (ValueError, re.error) as error:
            names = [name for name, one in model.named_modules() if isinstance(one, nn.Linear)]
            raise ParameterError(
                f"lora_targets {settings.lora_targets!r}: {error}; write all-linear or a regular"
                f" expression of whole module names, such as {names[0]}"
            ) from None
    if base_name:
        adapted.peft_config["default"].base_model_name_or_path = base_name
    return cast(PreTrainedModel, adapted)
