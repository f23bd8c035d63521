"""The ``vllm`` text engine: vLLM in this process, the production engine."""

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refine_af.contracts.errors import DependencyError, MemoryShortageError, ParameterError
from refine_af.engines.adapters import adapter_rank, require_base
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.encoding import PromptEncoder
from refine_af.engines.memory import out_of_memory
from refine_af.engines.models import resolve_model
from refine_af.engines.stopping import completion_text, read_answer
from refine_af.engines.text import Completion, Determinism, Finish, Request, Sampling
from refine_af.engines.thinking import in_thinking
from refine_af.storage.manifest import digest_directory

# No telemetry. vLLM reads its environment when it is imported.
os.environ["VLLM_NO_USAGE_STATS"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")

import vllm
from vllm.exceptions import VLLMClientError, VLLMError
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.sampling_params import StructuredOutputsParams

if TYPE_CHECKING:
    from vllm.outputs import RequestOutput

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM has kernels for; a smaller adapter runs at the next one."""

GRAMMARS = {"backend": "guidance", "disable_any_whitespace": True}
"""One library for choices, schemas and patterns, where ``auto`` picks one by request and release;
and no white space between the parts of JSON, which small models write until their limit."""

CPU_CACHE_GIB = "2"
"""Memory for keys and values on a CPU; left alone, vLLM takes most of the machine."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What vLLM wrote after one prompt.

    Attributes:
        tokens: Their ids.
        finish: vLLM's word.
        logprob: Sum over the tokens, nats.
        by_stop_text: Whether a stop text ended it, not a token.
    """

    tokens: list[int]
    finish: str | None
    logprob: float | None
    by_stop_text: bool

    @classmethod
    def of(cls, output: "RequestOutput") -> "_Written":
        first = output.outputs[0]
        by_text = first.finish_reason == "stop" and isinstance(first.stop_reason, str)
        return cls(list(first.token_ids), first.finish_reason, first.cumulative_logprob, by_text)

    def followed_by(self, later: "_Written") -> "_Written":
        known = self.logprob is not None and later.logprob is not None
        logprob = (self.logprob or 0.0) + (later.logprob or 0.0) if known else None
        return _Written([*self.tokens, *later.tokens], later.finish, logprob, later.by_stop_text)


class VLLMText:
    """Writes completions with vLLM, which batches, caches shared prefixes and applies LoRA.

    Every request carries its own seed. On a CPU in float32 a completion was seen not to depend on
    its neighbours; on a GPU the kernels make no such promise, so nothing is promised there. One
    engine per process: closing one takes down state that vLLM shares among all of them.
    """

    def __init__(
        self,
        model: str,
        adapter: Path | None = None,
        *,
        dtype: str = "auto",
        chat: bool = False,
        max_num_seqs: int = 32,
        max_model_len: int | None = None,
        gpu_memory_utilization: float = 0.9,
        tensor_parallel_size: int = 1,
        quantization: str | None = None,
        max_lora_rank: int = 64,
        enable_prefix_caching: bool = True,
        trust_remote_code: bool = False,
    ) -> None:
        """Start the engine; minutes for a large model.

        Args:
            model: As :func:`refine_af.engines.models.resolve_model`.
            adapter: A PEFT LoRA folder.
            dtype: ``auto`` is float32 on a CPU and bfloat16 on a GPU, whatever the file holds, as
                for every other engine and for training.
            chat: Put each prompt into the model's chat template as the user's turn.
            max_num_seqs: On a CPU: requests that run at once. On a GPU vLLM decides.
            max_model_len: Longest prompt and completion together; None for the model's context.
            gpu_memory_utilization: Share of each GPU's memory.
            tensor_parallel_size: GPUs that share the model.
            quantization: Such as ``fp8`` or ``awq``; None for what the model's file says.
            max_lora_rank: Largest rank that an adapter may have.
            enable_prefix_caching: Keep the keys and values of common beginnings.
            trust_remote_code: Whether code that travels with the model may run.

        Raises:
            DataError: The model cannot be read or the adapter does not fit it.
            ParameterError: A setting that vLLM or the model refuses.
            DependencyError: vLLM cannot start here, such as for lack of memory.
        """
        folder = resolve_model(model)
        settings = _settings(folder, dtype, max_model_len, gpu_memory_utilization, max_num_seqs) | {
            "tensor_parallel_size": tensor_parallel_size,
            "quantization": quantization,
            "enable_prefix_caching": enable_prefix_caching,
            "trust_remote_code": trust_remote_code,
            "structured_outputs_config": GRAMMARS,
        }
        if adapter is not None:
            require_base(adapter, model)
        settings |= _lora_settings(adapter, folder, max_lora_rank)
        self.determinism: Determinism = "same_batch" if current_platform.is_cpu() else "none"
        self._llm = _start(settings)
        self._tokenizer = self._llm.get_tokenizer()
        context = self._llm.llm_engine.model_config.max_model_len
        self._encoder = PromptEncoder(self._tokenizer, context=context, chat=chat)
        self._lora = LoRARequest("adapter", 1, str(adapter)) if adapter else None
        self._facts = self._own_facts() | {
            "tensor_parallel_size": str(tensor_parallel_size),
            "chat": str(chat).lower(),
            "model": model,
            "model_digest": digest_directory(folder),
        }
        if adapter is not None:
            self._facts["adapter_digest"] = digest_directory(adapter)

    def _own_facts(self) -> dict[str, str]:
        """Return what the engine itself says of its version, device and precision."""
        config = self._llm.llm_engine.model_config
        return {
            "engine": "vllm",
            "vllm": vllm.__version__,
            "determinism": self.determinism,
            "device": str(current_platform.device_type),
            "dtype": str(config.dtype).removeprefix("torch."),
            "quantization": str(config.quantization or "none"),
            "max_model_len": str(config.max_model_len),
        }

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[Completion]:
        """Return one completion per request, in order.

        A choice is written under a grammar that masks token by token, so that each of its tokens
        is drawn from what the choices leave (the transformers engine weighs whole choices). A JSON
        schema and a pattern are such grammars too.

        Raises:
            ParameterError: For a schema or pattern that vLLM's grammars cannot express.
        """
        prompts = [self._encoder.encode(request.prompt) for request in requests]
        room = most_tokens(sampling)
        completions: dict[int, Completion] = {}
        fitting: list[int] = []
        for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            refusal = self._encoder.refusal(request, len(prompt), room)
            if refusal is not None:
                completions[index] = refusal
            else:
                fitting.append(index)
        seeds = [request.seed for request in requests]
        written = self._written(fitting, prompts, seeds, sampling)
        for index in fitting:
            completions[index] = self._completion(
                requests[index], prompts[index], written[index], sampling
            )
        return [completions[index] for index in range(len(requests))]

    def _written(
        self,
        fitting: Sequence[int],
        prompts: Sequence[list[int]],
        seeds: Sequence[int],
        sampling: Sampling,
    ) -> dict[int, "_Written"]:
        """Return what vLLM writes for the prompts at ``fitting``.

        A stop text does not count inside a think block, which vLLM does not know: what it stopped
        there is written on without stop texts.
        """
        written = dict(zip(fitting, self._ask(fitting, prompts, seeds, sampling), strict=True))
        again = [index for index in fitting if self._in_thought(prompts[index], written[index])]
        left = {index: sampling.max_tokens - len(written[index].tokens) for index in again}
        again = [index for index in again if left[index] > 0]
        longer = [[*prompt] for prompt in prompts]
        for index in again:
            longer[index] += written[index].tokens
        for size in sorted({left[index] for index in again}):
            indices = [index for index in again if left[index] == size]
            unstopped = replace(sampling, stop=(), max_tokens=size)
            for index, more in zip(
                indices, self._ask(indices, longer, seeds, unstopped), strict=True
            ):
                written[index] = written[index].followed_by(more)
        return written

    def _in_thought(self, prompt: Sequence[int], written: "_Written") -> bool:
        if not written.by_stop_text:
            return False
        text = completion_text(self._tokenizer, prompt, written.tokens)
        return in_thinking(text, text_encoder(self._tokenizer).opened(prompt))

    def _ask(
        self,
        indices: Sequence[int],
        prompts: Sequence[list[int]],
        seeds: Sequence[int],
        sampling: Sampling,
    ) -> list["_Written"]:
        ends = sorted(text_encoder(self._tokenizer).ends)
        try:
            outputs = self._llm.generate(
                [{"prompt_token_ids": prompts[index]} for index in indices],
                [vllm_sampling(seeds[index], sampling, ends) for index in indices],
                lora_request=self._lora,
                use_tqdm=False,
            )
        except (ValueError, VLLMClientError) as error:
            raise ParameterError(f"vLLM refuses the request: {_first(error)}") from error
        return [_Written.of(output) for output in outputs]

    def _completion(
        self,
        request: Request,
        prompt: Sequence[int],
        output: "_Written",
        sampling: Sampling,
    ) -> Completion:
        read, written = len(prompt), len(output.tokens)
        if output.finish not in ("stop", "length"):
            reason = f"vLLM ended it with {output.finish!r}"
            return Completion(request.id, "", "error", read, written, error=reason)
        finish: Finish = "length" if output.finish == "length" else "stop"
        # Not vLLM's own text: it drops bytes that do not end as UTF-8, other engines show U+FFFD.
        if not sampling.free:
            whole = completion_text(self._tokenizer, prompt, output.tokens)
            return Completion(request.id, whole, finish, read, written, output.logprob)
        answer = read_answer(self._tokenizer, prompt, output.tokens, sampling.stop)
        return Completion(
            request.id,
            answer.text,
            "stop" if answer.stopped else finish,
            read,
            written,
            output.logprob,
            thinking=answer.thinking,
        )

    @property
    def llm(self) -> "vllm.LLM":
        """The raw vLLM engine; none of this class's guarantees apply."""
        return self._llm

    def describe(self) -> dict[str, str]:
        """Return engine, version, digests, and what the numbers depend on."""
        return dict(self._facts)

    def close(self) -> None:
        """Stop the engine and free its memory; it cannot be used afterwards."""
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()


def start_vllm(
    folder: Path,
    *,
    dtype: str,
    max_model_len: int,
    max_lora_rank: int,
    gpu_memory_utilization: float,
    max_num_seqs: int = 64,
) -> "vllm.LLM":
    """Return a bare engine whose adapters come with each request, for rollouts.

    Args:
        folder: The model's.
        dtype: As for :class:`VLLMText`.
        max_model_len: Longest prompt and completion together.
        max_lora_rank: One of :data:`LORA_RANKS`.
        gpu_memory_utilization: Share of the GPU's memory.
        max_num_seqs: On a CPU: requests that run at once.

    Raises:
        ParameterError: A setting that vLLM or the model refuses.
        DependencyError: vLLM cannot start here.
    """
    settings = _settings(folder, dtype, max_model_len, gpu_memory_utilization, max_num_seqs) | {
        "logprobs_mode": "processed_logprobs",  # of the tempered policy, which is what is trained
        "enable_lora": True,
        "max_lora_rank": max_lora_rank,
        "max_loras": 1,
        "enable_sleep_mode": can_sleep(),
    }
    return _start(settings)


def _settings(
    folder: Path,
    dtype: str,
    max_model_len: int | None,
    gpu_memory_utilization: float,
    max_num_seqs: int,
) -> dict[str, Any]:
    """Return what every engine here is started with."""
    settings: dict[str, Any] = {
        "model": str(folder),
        "load_format": "safetensors",
        "dtype": _dtype(dtype),
        "seed": 0,
        "max_model_len": max_model_len,
        "gpu_memory_utilization": gpu_memory_utilization,
    }
    if current_platform.is_cpu():
        settings |= _cpu_settings(folder, max_num_seqs, max_model_len)
    return settings


def can_sleep() -> bool:
    """Return whether an engine of :func:`start_vllm` can give its memory back for a while."""
    return not current_platform.is_cpu()


def lora_rank_allowed(rank: int) -> int:
    """Return the smallest rank that vLLM has kernels for and that holds ``rank``.

    Raises:
        ParameterError: When there is none.
    """
    allowed = [known for known in LORA_RANKS if rank <= known]
    if not allowed:
        raise ParameterError(f"an adapter has rank {rank}; vLLM takes up to {LORA_RANKS[-1]}")
    return allowed[0]


def _lora_settings(adapter: Path | None, folder: Path, most: int) -> dict[str, Any]:
    if adapter is None:
        return {}
    rank = adapter_rank(adapter, folder)
    allowed = [known for known in LORA_RANKS if rank <= known <= most]
    if not allowed:
        raise ParameterError(
            f"max_lora_rank is {most} and the adapter {adapter} has rank {rank}; set max_lora_rank"
            f" to one of: {', '.join(map(str, LORA_RANKS))}"
        )
    return {"enable_lora": True, "max_lora_rank": allowed[0], "max_loras": 1}


def _cpu_settings(folder: Path, max_num_seqs: int, max_model_len: int | None) -> dict[str, Any]:
    """Return the additional settings of a CPU.

    A prompt that is read in pieces rewinds its seeded generator, which CPU generators cannot:
    vLLM 0.31 and 0.32 then die with "CPU Generator does not use offset". So the scheduler gets
    room for everything that can be in flight, and never cuts a prompt.
    """
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GIB)
    length = max_model_len
    if length is None:
        from transformers import AutoConfig

        length = AutoConfig.from_pretrained(folder).max_position_embeddings
    return {
        "enforce_eager": True,
        "max_model_len": length,
        "max_num_seqs": max_num_seqs,
        "max_num_batched_tokens": max_num_seqs * length,
    }


def _dtype(dtype: str) -> str:
    if dtype != "auto":
        return dtype
    return "float32" if current_platform.is_cpu() else "bfloat16"


def _start(settings: dict[str, Any]) -> "vllm.LLM":
    try:
        return vllm.LLM(**settings)
    except (ValueError, VLLMClientError) as error:
        raise ParameterError(f"vLLM refuses the settings or the model: {_first(error)}") from error
    except (RuntimeError, OSError, MemoryError, VLLMError) as error:
        if out_of_memory(error):
            raise MemoryShortageError(
                f"vLLM does not fit the GPU's memory ({_first(error)}); lower max_model_len, or use"
                " more GPUs (tensor_parallel_size) or a larger one"
            ) from error
        raise DependencyError(f"vLLM cannot start: {_first(error)}") from error


def _first(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


def most_tokens(sampling: Sampling) -> int:
    """Return the most tokens of a completion: a choice may be written byte by byte, then ends."""
    longest = max((len(choice.encode()) for choice in sampling.choices), default=0)
    return longest + 1 if sampling.choices else sampling.max_tokens


def vllm_sampling(seed: int, sampling: Sampling, ends: Sequence[int] = ()) -> "vllm.SamplingParams":
    """Return vLLM's parameters of one request; ``ends`` end it beside the model's own end."""
    return vllm.SamplingParams(
        max_tokens=most_tokens(sampling),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=-1,
        min_p=0.0,
        repetition_penalty=1.0,
        presence_penalty=sampling.presence_penalty,
        stop=(list(sampling.stop) or None) if sampling.free else None,
        stop_token_ids=list(ends) or None,
        seed=seed,
        logprobs=0,
        structured_outputs=_grammar(sampling),
    )


def _grammar(sampling: Sampling) -> "StructuredOutputsParams | None":
    if sampling.free:
        return None
    return StructuredOutputsParams(
        choice=list(sampling.choices) or None,
        json=sampling.json_schema or None,
        regex=sampling.regex or None,
    )
