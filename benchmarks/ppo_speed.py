# ruff: noqa: E501, S106  two programs as texts; no passwords
"""Our PPO against TRL 1.12's ``PPOTrainer``, the last that TRL shipped: tokens/s and peak memory.

Same tiny model (a random Llama saved to a folder), same prompts, same batch, epochs, minibatches,
length of actions, LoRA rank, threads; each in a process of its own on one CPU thread. TRL 1.12 is
installed into a throw-away environment (``--trl-python`` names one that is there already). The end
token has no row in the model, so no action ends early and both write the same number of tokens. On a machine that others use too, wall time measures them; both
sides run on one thread, so tokens per second of processor time are the fair number. The reward is the same text function. TRL's trainer wants a reward
module that reads token ids; the usual adapter decodes them. Times leave out loading and start.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RATE = "tokens_per_cpu_second"
PINS = ["transformers==5.17.0", "trl==1.12.0", "peft==0.21.2", "accelerate==1.15.0"]
PINS += ["datasets==5.2.0", "torch==2.13.0+cpu"]

COMMON = """
import json, resource, sys, time
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, o = sys.argv[1], json.loads(sys.argv[2])
torch.set_num_threads(1)
def share(text):
    return 10 * text.count("e") / max(1, len(text))
def done(seconds, cpu_start):
    cpu = time.process_time() - cpu_start
    tokens = o["updates"] * o["batch"] * o["length"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"tokens_per_second": tokens / seconds, "tokens_per_cpu_second": tokens / cpu, "peak_MiB": peak}))
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""

TRL = """
from datasets import Dataset
from peft import LoraConfig
from torch import nn
from transformers import AutoModelForSequenceClassification
from trl.experimental.ppo import PPOConfig, PPOTrainer
tok = AutoTokenizer.from_pretrained(folder, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(folder)
value = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
class Text(nn.Module):
    base_model_prefix = "backbone"
    class B(nn.Module):
        def __init__(s, o): super().__init__(); object.__setattr__(s, "o", o)
        def forward(s, input_ids, attention_mask, **kw):
            rows = [tok.decode(i[m.bool()].tolist()) for i, m in zip(input_ids, attention_mask)]
            r = torch.tensor([share(t) for t in rows])
            wide = r[:, None, None].expand(-1, input_ids.shape[1], 1).contiguous()
            return type("O", (), {"hidden_states": (wide,)})()
    def __init__(s):
        super().__init__(); s.backbone = Text.B(s); s.p = nn.Parameter(torch.zeros(1), requires_grad=False)
    def score(s, h): return h
args = PPOConfig(output_dir=sys.argv[3], per_device_train_batch_size=o["minibatch"],
    gradient_accumulation_steps=o["batch"] // o["minibatch"], num_mini_batches=o["batch"] // o["minibatch"],
    num_ppo_epochs=o["epochs"], total_episodes=o["updates"] * o["batch"], response_length=o["length"],
    temperature=1.0, learning_rate=1e-4, local_rollout_forward_batch_size=o["minibatch"], use_cpu=True,
    bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no",
    num_sample_generations=0, disable_tqdm=True, logging_strategy="no")
ids = tok(o["prompts"])["input_ids"]
train = Dataset.from_dict({"input_ids": [ids[n % len(ids)] for n in range(o["updates"] * o["batch"])]})
trainer = PPOTrainer(args=args, processing_class=tok, model=model, ref_model=None, reward_model=Text(),
    value_model=value, train_dataset=train, eval_dataset=train.select(range(2)),
    peft_config=LoraConfig(r=o["rank"], lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
start, cpu_start = time.perf_counter(), time.process_time()
trainer.train()
done(time.perf_counter() - start, cpu_start)
"""

OURS = """
from pathlib import Path
from refine_af.contracts.progress import StageProgress
from refine_af.ppo.episodes import Feedback, Prompt
from refine_af.ppo.policy import Policy
from refine_af.ppo.params import PPOParams
from refine_af.ppo.trainer import train
from refine_af.ppo.transformers_rollout import TransformersRollout
from refine_af.storage.journal import MemoryJournal
tok = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder).eval()
settings = PPOParams(updates=o["updates"], episodes_per_update=o["batch"], minibatch=o["minibatch"],
    microbatch=o["minibatch"], epochs=o["epochs"], max_new_tokens=o["length"], lora_rank=o["rank"],
    lora_alpha=16, learning_rate=1e-4, max_kl=1e9)
prompts = [Prompt(str(n), text) for n, text in enumerate(o["prompts"])]
def reward(episodes):
    return [Feedback(share(e.prompt + e.action), {}, True) for e in episodes]
start, cpu_start = time.perf_counter(), time.process_time()
result = train(Policy(model, settings), tok, prompts, reward, settings, journal=MemoryJournal(),
    progress=StageProgress("train_ppo"), rollout=TransformersRollout(tok, settings), output=Path(sys.argv[3]))
seconds = time.perf_counter() - start
assert result.telemetry["tokens"] == o["updates"] * o["batch"] * o["length"], result.telemetry
print({k: round(v, 2) for k, v in result.telemetry.items()}, file=sys.stderr)
done(seconds, cpu_start)
"""


def plain_tokenizer(vocabulary: int) -> "PreTrainedTokenizerFast":
    """Return one token per character; the end token lies beyond the model's vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz .:"
    words = {"<unk>": 0, "<pad>": 1} | {one: 2 + at for at, one in enumerate(letters)}
    words |= {chr(0x4E00 + at): len(words) + at for at in range(vocabulary - len(words))}
    words["<eos>"] = vocabulary
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def save_model(folder: Path, hidden: int, layers: int, vocabulary: int) -> None:
    """Save a random Llama with one token per character, whose end token it has no row for."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    plain_tokenizer(vocabulary).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=1,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def measured(
    python: str, script: str, folder: Path, options: dict[str, object]
) -> dict[str, float]:
    """Return what one side prints, run in a process of its own."""
    own = {"OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as output:
        command = [python, "-c", textwrap.dedent(COMMON + script), str(folder)]
        command += [json.dumps(options), output]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | own)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> int:
    """Measure both sides in turn; 0 when the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trl-python", default="", help="interpreter with trl 1.12")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--updates", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        python = options.trl_python or install(Path(name) / "trl")
        folder = Path(name) / "model"
        save_model(folder, hidden=256, layers=4, vocabulary=8000)
        work = {
            "updates": options.updates,
            "batch": 32,
            "minibatch": 8,
            "epochs": 4,
            "length": 64,
            "rank": 8,
            "prompts": [f"instruction: sort the words number {word}" for word in "abcdefgh"],
        }
        rows: dict[str, list[dict[str, float]]] = {"ours": [], "trl": []}
        for _ in range(options.repeats):
            rows["ours"].append(measured(sys.executable, OURS, folder, work))
            rows["trl"].append(measured(python, TRL, folder, work))
    for side, found in rows.items():
        print(side, f"{RATE} of each repeat:", [round(one[RATE], 1) for one in found])
    best = {side: max(found, key=lambda one: one[RATE]) for side, found in rows.items()}
    for side, row in best.items():
        print(side, {key: round(value, 1) for key, value in row.items()})
    ratio = best["ours"][RATE] / best["trl"][RATE]
    memory = [best[side]["peak_MiB"] for side in ("ours", "trl")]
    print(f"{RATE}: {ratio:.2f} x; peak memory: {memory[0]:.0f} against {memory[1]:.0f} MiB")
    return 0 if ratio >= 2 and memory[0] < memory[1] else 1


def install(folder: Path) -> str:
    """Make an environment with TRL 1.12 and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", *PINS], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main())
