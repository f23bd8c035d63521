"""Tokens per second of our decoding and of transformers' generate, same model, prompts, machine.

    python benchmarks/decode.py [--model builtin:tiny] [--prompts 32] [--tokens 96] [--repeats 5]

Two loads, alternating, medians of pairwise ratios: "same length", where every completion has
``tokens`` tokens, so both sides do the same arithmetic; and "as it comes", where completions end
at the end token or a stop text, so that rows which have ended cost generate time and us none.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from refine_af.engines.decode import decode
from refine_af.engines.models import load_model
from refine_af.engines.text import Sampling

STOP = "\n12."
TASKS = (
    "Count the words in the sentence.",
    "Reverse the order of the list and write it in capital letters.",
    "Decide whether the number is even or odd.",
    "Name the longest word of the text and say how many letters it has.",
    "Sort the animals by the alphabet.",
    "Write the plural of each noun.",
    "Add the two numbers and halve the result.",
    "Extract every colour that the text names.",
)


def prompts(count: int) -> list[str]:
    """Return numbered lists of eight tasks in different orders."""
    found = []
    for row in range(count):
        turned = [TASKS[(place * 3 + row) % len(TASKS)] for place in range(len(TASKS))]
        lines = "".join(f"{place}. {task}\n" for place, task in enumerate(turned, start=1))
        found.append(f"Below is a varied list of tasks that a helpful assistant can do.\n{lines}9.")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    model, tokenizer = load_model(options.model)
    texts = prompts(options.prompts)
    ids = [tokenizer(text)["input_ids"] for text in texts]
    tokenizer.padding_side = "left"
    padded = tokenizer(texts, padding=True, return_tensors="pt").to(model.device)
    ends = model.generation_config.eos_token_id

    def theirs(free: bool) -> int:
        limit = {} if free else {"min_new_tokens": options.tokens}
        output = model.generate(
            **padded,
            max_new_tokens=options.tokens,
            do_sample=True,
            temperature=0.9,
            top_p=0.95,
            top_k=0,
            stop_strings=[STOP] if free else None,
            tokenizer=tokenizer if free else None,
            **limit,
        )[:, padded["input_ids"].shape[1] :]
        padding = (output == tokenizer.pad_token_id).sum()
        return int(output.numel() - padding)

    def ours(free: bool) -> int:
        sampling = Sampling(options.tokens, 0.9, 0.95, stop=(STOP,) if free else ())
        model.generation_config.eos_token_id = ends if free else None
        kept, tokenizer.eos_token = tokenizer.eos_token, tokenizer.eos_token if free else None
        found = decode(model, tokenizer, ids, list(range(len(ids))), sampling)
        tokenizer.eos_token, model.generation_config.eos_token_id = kept, ends
        return sum(len(one.tokens) for one in found)

    print(f"{options.model}, {len(ids)} prompts of {padded['input_ids'].shape[1]} tokens at most")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {model.device}")
    for name, free in (("same length", False), ("as it comes", True)):
        report(name, lambda free=free: theirs(free), lambda free=free: ours(free), options.repeats)


def report(name: str, theirs: Callable[[], int], ours: Callable[[], int], repeats: int) -> None:
    """Run both in turn and print the medians of tokens per second and of the pairwise ratios.

    CPU seconds count the work of all threads and are steady when other programs run beside.
    """
    theirs()
    ours()
    clocks = (time.perf_counter, time.process_time)
    rates: dict[str, list[list[float]]] = {"generate": [], "decode": []}
    for _ in range(repeats):
        for key, side in (("generate", theirs), ("decode", ours)):
            started = [clock() for clock in clocks]
            tokens = side()
            rates[key].append(
                [tokens / (clock() - start) for clock, start in zip(clocks, started, strict=True)]
            )
    for place, unit in enumerate(("wall", "CPU")):
        slow, fast = ([run[place] for run in rates[key]] for key in ("generate", "decode"))
        ratio = statistics.median(b / a for a, b in zip(slow, fast, strict=True))
        print(
            f"{name:12} per {unit:4} second: generate {statistics.median(slow):6.0f} tokens,"
            f" decode {statistics.median(fast):6.0f}, ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
