"""Rollouts from vLLM, which samples many times faster: in this process, or behind a server.

Before each rollout the adapter is saved and loaded anew under a number of its own, so what acts is
the policy as it is now and no prefix cache of an older one is used. vLLM's kernels round
differently: the trained model reads the actions again, and vLLM's own log-probabilities weigh the
loss (:func:`refine_af.ppo.losses.importance_weights`).
"""

import itertools
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from refine_af.contracts.errors import DependencyError, missing_library
from refine_af.contracts.randomness import derive
from refine_af.engines.control_tokens import text_encoder
from refine_af.engines.stopping import completion_text, read_answer
from refine_af.engines.thinking import in_thinking
from refine_af.ppo.params import PPOParams
from refine_af.ppo.policy import Policy
from refine_af.ppo.rollout import Action
from refine_af.ppo.trained_model import save_trained

TIMEOUT_SECONDS = 1800.0

PLAIN = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
PLAIN |= {"presence_penalty": 0.0, "frequency_penalty": 0.0}
"""Sent with every request: what is left out, vLLM takes from the model's generation_config, which
for LLaMA-2 truncates to a nucleus of 0.9. Then actions would come from another distribution."""


class _Reloading(ABC):
    """Saves the adapter before each rollout and hands it to an engine with its own weights."""

    def __init__(self, tokenizer: Any, settings: PPOParams, folder: Path) -> None:  # noqa: ANN401
        self._tokenizer = tokenizer
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="policy-", dir=folder))
        self._numbers = itertools.count(1)

    def act(
        self, policy: Policy, prompts: Sequence[Sequence[int]], seeds: Sequence[int]
    ) -> list[Action]:
        """Return one action per prompt, drawn from the policy as it is now."""
        number = next(self._numbers)
        adapter = self._folder / str(number)
        save_trained(policy, self._tokenizer, adapter)
        rooms = [self._settings.max_new_tokens] * len(prompts)
        with self._acting(number, adapter):
            actions = self._drawn(prompts, seeds, rooms, self._settings.stop)
            self._think_to_the_end(actions, prompts, seeds)
        shutil.rmtree(self._folder / str(number - 1), ignore_errors=True)
        return actions

    @abstractmethod
    def _acting(self, number: int, adapter: Path) -> AbstractContextManager[None]:
        """Have the engine act with the adapter in here."""

    @abstractmethod
    def _drawn(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        rooms: Sequence[int],
        stop: Sequence[str],
    ) -> list[Action]:
        """Return one action per prompt, of at most so many tokens, ended by these stop texts."""

    def _think_to_the_end(
        self,
        actions: list[Action],
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
    ) -> None:
        """Write on, in place, where a stop text ended an action inside its think block.

        vLLM knows no think blocks, and a stop text counts behind one only (as in
        :func:`refine_af.engines.decode.decode`). The rest is drawn without stop texts and cut where
        the first of them is complete.
        """
        rows = [row for row, action in enumerate(actions) if self._in_thought(prompts[row], action)]
        rooms = {row: self._settings.max_new_tokens - len(actions[row].tokens) for row in rows}
        for row in rows:
            actions[row] = replace(actions[row], finish="length")
        rows = [row for row in rows if rooms[row] > 0]
        if not rows:
            return
        longer = [[*prompts[row], *actions[row].tokens] for row in rows]
        fresh = [derive(seeds[row], "after-thought") for row in rows]
        for row, rest in zip(
            rows, self._drawn(longer, fresh, [rooms[row] for row in rows], ()), strict=True
        ):
            actions[row] = self._until_stop(prompts[row], actions[row], rest)

    def _in_thought(self, prompt: Sequence[int], action: Action) -> bool:
        encoder = text_encoder(self._tokenizer)
        if not self._settings.stop or action.finish != "stop" or action.tokens[-1] in encoder.ends:
            return False
        text = completion_text(self._tokenizer, prompt, action.tokens)
        return in_thinking(text, encoder.opened(prompt))

    def _until_stop(self, prompt: Sequence[int], before: Action, rest: Action) -> Action:
        tokens = (*before.tokens, *rest.tokens)
        known = before.logprobs is not None and rest.logprobs is not None
        logprobs = (*(before.logprobs or ()), *(rest.logprobs or ())) if known else None
        stop = self._settings.stop
        for end in range(len(before.tokens) + 1, len(tokens) + 1):
            if read_answer(self._tokenizer, prompt, tokens[:end], stop).stopped:
                return Action(tokens[:end], "stop", logprobs[:end] if logprobs else None)
        return Action(tokens, rest.finish, logprobs)

    def _action(
        self, tokens: Sequence[int], finish: str | None, logprobs: Sequence[float] | None
    ) -> Action:
        if finish not in ("stop", "length") or not tokens:
            raise DependencyError(
                f"vLLM ended an action with {finish!r} after {len(tokens)} tokens"
            )
        if logprobs is not None and len(logprobs) != len(tokens):
            raise DependencyError(
                f"vLLM gave {len(logprobs)} log-probabilities for {len(tokens)} tokens"
            )
        said = None if logprobs is None else tuple(logprobs)
        return Action(tuple(tokens), "stop" if finish == "stop" else "length", said)


class VLLMRollout(_Reloading):
    """Acts with vLLM in this process, on the trainer's own GPU."""

    def __init__(
        self,
        model: Path,
        tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
        settings: PPOParams,
        folder: Path,
        *,
        max_model_len: int,
        dtype: str = "auto",
        gpu_memory_utilization: float = 0.4,
    ) -> None:
        """Start vLLM.

        Args:
            model: Directory of the start model.
            tokenizer: Of the policy.
            settings: Of the run; their temperature and length are the sampling's.
            folder: Where adapters are saved in passing; a memory file system is best.
            max_model_len: Longest prompt and action, tokens.
            dtype: Of the policy's products; ``auto`` is bfloat16 on a GPU, float32 on a CPU.
            gpu_memory_utilization: Share of the GPU's memory that vLLM takes while it acts; on a
                GPU it sleeps while the trainer works.

        Raises:
            ParameterError: With full fine-tuning, or an adapter rank that vLLM does not take.
            MissingLibraryError: When vLLM is not installed here.
            DependencyError: When vLLM cannot start.
        """
        super().__init__(tokenizer, settings, folder)
        try:
            from refine_af.engines.vllm_text import can_sleep, lora_rank_allowed, start_vllm
        except ImportError as error:
            remedy = "pip install 'refine-af[vllm,train]', or set rollout to transformers"
            raise missing_library(error, "rollout 'vllm'", remedy) from error
        self._llm = start_vllm(
            model,
            dtype=dtype,
            max_model_len=max_model_len,
            max_lora_rank=lora_rank_allowed(settings.lora_rank),
            gpu_memory_utilization=gpu_memory_utilization,
        )
        self._sleeps = can_sleep()
        if self._sleeps:
            self._llm.sleep(level=1)

    def _drawn(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        rooms: Sequence[int],
        stop: Sequence[str],
    ) -> list[Action]:
        from vllm import SamplingParams

        options = {
            "temperature": self._settings.temperature,
            "stop_token_ids": sorted(text_encoder(self._tokenizer).ends),
            "stop": list(stop) or None,
            "detokenize": bool(stop),
            "logprobs": 0,  # of the token drawn alone
        } | PLAIN
        outputs = self._llm.generate(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts],
            [
                SamplingParams(seed=seed, max_tokens=room, **options)
                for seed, room in zip(seeds, rooms, strict=True)
            ],
            lora_request=self._adapter,
            use_tqdm=False,
        )
        return [self._from_output(output.outputs[0]) for output in outputs]

    @contextmanager
    def _acting(self, number: int, adapter: Path) -> Iterator[None]:
        """Have vLLM's weights and cache on the GPU in here, and the memory for training outside.

        Asleep (level 1), its weights lie in main memory and its cache is forgotten.
        """
        from vllm.lora.request import LoRARequest

        self._adapter = LoRARequest(f"policy-{number}", number, str(adapter))
        if not self._sleeps:
            yield
            return
        self._llm.wake_up()
        try:
            yield
        finally:
            self._llm.sleep(level=1)

    def _from_output(self, output: Any) -> Action:  # noqa: ANN401  vLLM's CompletionOutput
        pairs = zip(output.token_ids, output.logprobs, strict=True)
        logprobs = [entry[token].logprob for token, entry in pairs]
        return self._action(output.token_ids, output.finish_reason, logprobs)


class VLLMServerRollout(_Reloading):
    """Acts with a vLLM server that shares a file system with the trainer.

    The server must allow adapters to come and go: ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`` and
    ``--enable-lora --max-lora-rank RANK``.
    """

    def __init__(
        self,
        url: str,
        tokenizer: Any,  # noqa: ANN401  a transformers tokenizer
        settings: PPOParams,
        folder: Path,
    ) -> None:
        """Act through the server at ``url``, such as ``http://localhost:8000``.

        Args:
            url: Without ``/v1``.
            tokenizer: Of the policy.
            settings: Of the run.
            folder: Where adapters are saved in passing, under the same path on both sides.

        Raises:
            DependencyError: When the server does not answer.
        """
        super().__init__(tokenizer, settings, folder)
        self._url = url.rstrip("/").removesuffix("/v1")
        self._loaded = ""
        self._ask("/v1/models", None)

    @contextmanager
    def _acting(self, number: int, adapter: Path) -> Iterator[None]:
        name = f"{adapter.parent.name}-{number}"
        self._ask("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(adapter)})
        if self._loaded:
            self._ask("/v1/unload_lora_adapter", {"lora_name": self._loaded})
        self._loaded = name
        yield

    def _drawn(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        rooms: Sequence[int],
        stop: Sequence[str],
    ) -> list[Action]:
        with ThreadPoolExecutor(max_workers=min(64, len(prompts))) as pool:
            return list(pool.map(self._one, prompts, seeds, rooms, itertools.repeat(stop)))

    def _one(self, prompt: Sequence[int], seed: int, room: int, stop: Sequence[str]) -> Action:
        answer = self._ask(
            "/v1/completions",
            {
                "model": self._loaded,
                "prompt": list(prompt),
                "max_tokens": room,
                "temperature": self._settings.temperature,
                "seed": seed,
                "stop_token_ids": sorted(text_encoder(self._tokenizer).ends),
                "stop": list(stop) or None,
                "return_token_ids": True,
                "logprobs": 0,
            }
            | PLAIN,
        )
        choice = answer["choices"][0]
        if choice.get("token_ids") is None:
            raise DependencyError(
                f"{self._url} returned no token_ids; PPO needs them: use vLLM 0.11 or later"
            )
        # Of the untempered policy, unless the server runs with --logprobs-mode: no use elsewhere.
        plain = self._settings.temperature == 1 and choice.get("logprobs") is not None
        logprobs = choice["logprobs"]["token_logprobs"] if plain else None
        return self._action(choice["token_ids"], choice["finish_reason"], logprobs)

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  the constructor admits http alone
            self._url + path, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            detail = " ".join(error.read().decode(errors="replace").split())[:300]
            raise DependencyError(f"{self._url}{path} answered {error.code}: {detail}") from None
        except (OSError, ValueError) as error:
            raise DependencyError(f"{self._url}{path} does not answer ({error})") from None
        info = json.loads(text) if text.startswith("{") else {}
        return dict(info)
