"""The model that is tuned, and its adapter."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from refine_af.contracts.errors import (
    DependencyError,
    MissingLibraryError,
    ParameterError,
)
from refine_af.contracts.randomness import derive
from refine_af.engines.models import CAUSAL_LM
from refine_af.engines.pretrained import load_whole, reading
from refine_af.engines.stopping import save_end_tokens, set_end_tokens
from refine_af.sft.params import SFTParams


def choose_device(params: SFTParams) -> str:
    """Return ``cpu`` or ``cuda``.

    Raises:
        DependencyError: When the params need a GPU and this machine offers none.
        MissingLibraryError: For ``qlora`` without bitsandbytes.
    """
    available = torch.cuda.is_available()
    if not available and (params.device == "cuda" or params.method == "qlora"):
        wanted = "device is 'cuda'" if params.device == "cuda" else "method is 'qlora'"
        raise DependencyError(
            f"train_sft: {wanted}, but torch finds no CUDA GPU here; run it on a GPU, or use"
            " device auto and method lora"
        )
    if params.method == "qlora" and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingLibraryError(
            "train_sft: method is 'qlora', which needs bitsandbytes, and it is not installed:"
            " pip install 'refine-af[nf4]', or use method lora"
        )
    return "cuda" if available and params.device != "cpu" else "cpu"


def uses_bfloat16(params: SFTParams, device: str) -> bool:
    """Return whether the matrix products run in bfloat16."""
    return params.dtype == "bfloat16" or (params.dtype == "auto" and device == "cuda")


def load_tokenizer(location: str) -> Any:  # noqa: ANN401  transformers is untyped
    """Return the tokenizer, with a token to pad with.

    Raises:
        DataError: When it cannot be read.
        ParameterError: When it has no end token: the model could not learn to stop.
    """
    with reading(location, "a model with a tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(location)
    if tokenizer.eos_token is None:
        raise ParameterError(
            f"{location}: the tokenizer has no end token (eos_token), so the model could not learn"
            " to stop; add one to its tokenizer_config.json"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_trainable(location: str, params: SFTParams, device: str) -> Any:  # noqa: ANN401
    """Return the model with what is trained on it: a fresh adapter, or all its weights.

    Frozen weights are held in the precision of the products (4 bits with ``qlora``), trained
    weights in float32. Only safetensors are read, and no code that comes with a model is run.

    Raises:
        DataError: When the model cannot be read, or its files lack weights.
        ParameterError: When its positions end before ``max_length``.
    """
    frozen = torch.bfloat16 if uses_bfloat16(params, device) else torch.float32
    kwargs: dict[str, Any] = {"dtype": torch.float32 if params.method == "full" else frozen}
    if params.method == "qlora":
        kwargs["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=frozen,
        )
    model = load_whole(AutoModelForCausalLM, location, location, CAUSAL_LM, **kwargs)
    _refuse_short_range(model, params.max_length)
    if params.method == "full":
        return model
    if params.method == "qlora":
        model = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]
            model, use_gradient_checkpointing=False
        )
    return _with_adapter(model, params)


def _refuse_short_range(model: Any, max_length: int) -> None:  # noqa: ANN401
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise ParameterError(
            f"max_length is {max_length}; the model reads at most {positions} tokens: lower"
            " max_length"
        )


def _with_adapter(model: Any, params: SFTParams) -> PeftModel:  # noqa: ANN401
    """Return the model with LoRA on every linear layer but the output layer."""
    config = LoraConfig(
        r=params.lora_rank,
        lora_alpha=params.lora_alpha,
        lora_dropout=params.lora_dropout,
        target_modules="all-linear",
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(derive(params.draws, "sft-adapter"))
        return get_peft_model(model, config)


def save_merged(location: str, adapter: Path, target: Path) -> None:
    """Write base and adapter as one model, in the base's precision, with its tokenizer and page.

    The base is read anew, so that an adapter that was trained over 4-bit weights is added to the
    whole ones; what the merged model says may differ from the 4-bit one by their rounding.
    """
    base = AutoModelForCausalLM.from_pretrained(
        location, use_safetensors=True, dtype=AutoConfig.from_pretrained(location).dtype
    )
    merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    tokenizer = load_tokenizer(location)
    set_end_tokens(merged, tokenizer)
    merged.save_pretrained(target)
    tokenizer.save_pretrained(target)
    page = (adapter / "README.md").read_text(encoding="utf-8")
    page = page.replace("library_name: peft", "library_name: transformers", 1)
    page = page.replace("# LoRA adapter fine-tuned", "# Model (base with merged LoRA adapter)", 1)
    (target / "README.md").write_text(page, encoding="utf-8")


def save_trained(
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    target: Path,
    *,
    base_name: str,
    location: str,
) -> None:
    """Write the adapter as a PEFT directory, or the full model with its tokenizer.

    The same weights give the same bytes: PEFT writes the names of the adapted layers in the order
    of a hash set and the path that the base was loaded from, so names are sorted and the base is
    called ``base_name``. A full model is written in the precision of the base at ``location``.
    Both say in ``generation_config.json`` which tokens end an answer.
    """
    target.mkdir(parents=True, exist_ok=True)
    set_end_tokens(model, tokenizer)
    if not isinstance(model, PeftModel):
        published = AutoConfig.from_pretrained(location).dtype or torch.float32
        model.to(dtype=published).save_pretrained(target)
        tokenizer.save_pretrained(target)
        return
    model.peft_config["default"].base_model_name_or_path = base_name
    model.save_pretrained(str(target), save_embedding_layers=False)
    save_end_tokens(model, target)
    path = target / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
