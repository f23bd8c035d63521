"""A random Llama of 0.1 M parameters and a byte-level tokenizer, made here in milliseconds."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from refine_af.engines.decode import decode
from refine_af.engines.encoding import PromptEncoder
from refine_af.engines.text import Sampling

END = 256


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, ids in the order of the byte-level alphabet; 256 is the end token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: place for place, piece in enumerate(alphabet)} | {"<end>": END}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.add_special_tokens(["<end>"])
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)  # type: ignore[no-untyped-call]
    tokenizer.eos_token = "<end>"  # noqa: S105
    return tokenizer


def random_llama(
    seed: int = 0, layers: int = 2, hidden: int = 32, vocabulary: int = 257
) -> LlamaForCausalLM:
    """Grouped key-value heads; the last norm is scaled up so that the next token is not uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=0.2,
        eos_token_id=END,
        bos_token_id=None,
        pad_token_id=None,
    )
    model: LlamaForCausalLM = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.generation_config.eos_token_id = END
    model.train(False)
    return model


BEGIN, TURN, END_OF_TURN = 257, 258, 259
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for one in messages %}<turn>{{ one.role }}\n{{ one.content }}<end_turn>"
    "{% endfor %}{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


def chat_tokenizer() -> PreTrainedTokenizerFast:
    """As Llama 3 has it: begin is put before every text, and its template writes it too."""
    core = byte_tokenizer().backend_tokenizer
    core.add_special_tokens(["<begin>", "<turn>", "<end_turn>"])
    core.post_processor = processors.TemplateProcessing(
        single="<begin> $A", special_tokens=[("<begin>", BEGIN)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)  # type: ignore[no-untyped-call]
    tokenizer.bos_token, tokenizer.eos_token = "<begin>", "<end>"
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def chat_model(folder: Path, prompt: str) -> str:
    """Write a model whose greedy turn after ``prompt`` is at most three tokens long.

    It ends with a token that only the generation config names: it closes its turn where it would
    otherwise have written its fourth token for the first time.
    """
    model = random_llama(hidden=128, vocabulary=260)
    model.config.bos_token_id = model.generation_config.bos_token_id = BEGIN
    model.generation_config.eos_token_id = [END, END_OF_TURN]
    ids = PromptEncoder(chat_tokenizer(), context=512, chat=True).encode(prompt)
    greedy = Sampling(max_tokens=4, temperature=0.0)
    with torch.no_grad():
        model.lm_head.weight[END_OF_TURN] = 0.0
        [turn] = decode(model, chat_tokenizer(), [ids], [1], greedy)
        model.lm_head.weight[END_OF_TURN] = 1.01 * model.lm_head.weight[turn.tokens[-1]]
    model.save_pretrained(folder)
    chat_tokenizer().save_pretrained(folder)
    return str(folder)


def save(folder: Path, model: LlamaForCausalLM) -> str:
    """Write model and tokenizer as a user would have them; return the folder's name."""
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)
