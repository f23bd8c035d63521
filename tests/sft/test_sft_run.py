"""What a run computes: loss, order, weights, rows, page; and what it refuses."""

import json
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_sft import END, instance, material, save_random_model

from refine_af.contracts.errors import (
    DataError,
    DependencyError,
    MemoryShortageError,
    ParameterError,
)
from refine_af.contracts.progress import StageProgress
from refine_af.contracts.records import Pair, Seed
from refine_af.sft.base_model import load_tokenizer, load_trainable, save_merged
from refine_af.sft.encoding import encode, write_examples
from refine_af.sft.order import training_order
from refine_af.sft.params import SFTParams
from refine_af.sft.run import Material, Outcome, fine_tune
from refine_af.sft.templates import training_text
from refine_af.sft.trainer import train
from refine_af.storage.journal import MemoryJournal

Run = Callable[..., tuple[Outcome, Path]]
SETTINGS: dict[str, Any] = {
    "batch_size": 8,
    "learning_rate": 0.01,
    "lora_rank": 4,
    "lora_dropout": 0.0,
    "max_length": 256,
    "checkpoint_steps": 0,
    "model": "test/random",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Run:
    def start(
        given: Material | None = None,
        base: Path = model,
        **changes: Any,  # noqa: ANN401
    ) -> tuple[Outcome, Path]:
        number = len(list(tmp_path.iterdir()))
        scratch = tmp_path / f"scratch-{number}"
        scratch.mkdir()
        outcome = fine_tune(
            given or material(),
            SFTParams(**SETTINGS | changes),
            str(base),
            tmp_path / f"adapter-{number}",
            journal=MemoryJournal(),
            progress=StageProgress("train_sft"),
            scratch=scratch,
        )
        return outcome, tmp_path / f"adapter-{number}"

    return start


def load(base: Path) -> Any:  # noqa: ANN401
    from transformers import AutoModelForCausalLM

    lm: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return lm.eval()


def completion_losses(lm: Any, tokenizer: Any, rows: list[Any]) -> list[float]:  # noqa: ANN401
    """Return the loss of every completion token, one row and one token at a time."""
    found = []
    for row in rows:
        text = training_text(row, "plain", 1)
        prompt = tokenizer(text.prompt)["input_ids"]
        whole = tokenizer(text.prompt + text.completion + END)["input_ids"]
        with torch.no_grad():
            chances = torch.log_softmax(lm(torch.tensor([whole])).logits[0].double(), -1)
        found += [-chances[at - 1, whole[at]].item() for at in range(len(prompt), len(whole))]
    return found


def test_the_first_loss_is_the_mean_over_the_completion_tokens_of_the_batch(
    run: Run, model: Path
) -> None:
    outcome, _ = run(gradient_accumulation=4, max_steps=1)
    order = training_order(24, epochs=2, max_steps=1, batch_size=8, seed=1)
    losses = completion_losses(
        load(model), load_tokenizer(str(model)), [instance(place) for place in order]
    )
    assert outcome.history[0]["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_pieces_of_a_batch_weigh_as_the_whole_batch(run: Run) -> None:
    whole, _ = run(gradient_accumulation=1, max_steps=3)
    cut, _ = run(gradient_accumulation=8, max_steps=3)
    for one, other in zip(whole.history, cut.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)


def rows_that_fit(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let passes of more rows run out of memory, as a GPU does; return the rows of each pass."""
    from refine_af.sft import trainer

    seen: list[int] = []
    original: Any = trainer._OfflineTrainer.training_step

    def training_step(owner: Any, model: Any, inputs: Any, *given: Any) -> Any:  # noqa: ANN401
        seen.append(len(inputs["input_ids"]))
        if seen[-1] > most:
            kind: Any = torch.OutOfMemoryError
            raise kind("CUDA out of memory. Tried to allocate 3.95 GiB.")
        return original(owner, model, inputs, *given)

    monkeypatch.setattr(trainer._OfflineTrainer, "training_step", training_step)
    return seen


def test_a_full_memory_halves_the_pieces_and_trains_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(gradient_accumulation=1, max_steps=3)
    seen = rows_that_fit(monkeypatch, 2)
    cut, _ = run(gradient_accumulation=1, max_steps=3)
    size = max(seen)
    assert seen[:2] == [size, size // 2]
    assert max(seen[seen.index(2) :]) == 2
    assert cut.telemetry["memory_halvings"] == (size // 2).bit_length() - 1
    for one, other in zip(whole.history, cut.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)


def test_a_memory_too_small_for_one_row_names_what_to_lower(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_that_fit(monkeypatch, 0)
    with pytest.raises(MemoryShortageError, match=r"too small for one row.*lower max_length"):
        run(gradient_accumulation=1, max_steps=1)


def test_packed_rows_do_not_see_each_other(run: Run, model: Path) -> None:
    # One step over all 24 rows: the sum does not depend on which rows share a sequence.
    packed, _ = run(packing=True, max_steps=1, batch_size=1, gradient_accumulation=1)
    sequences = packed.history[0]["tokens"]
    assert 128 < sequences <= 256
    every, _ = run(packing=True, epochs=1, batch_size=64, gradient_accumulation=1)
    losses = completion_losses(
        load(model), load_tokenizer(str(model)), [instance(place) for place in range(24)]
    )
    assert len(every.history) == 1
    assert every.history[0]["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_without_padding_rows_do_not_see_each_other(run: Run, model: Path) -> None:
    padded, _ = run(max_steps=4)
    flat, _ = run(max_steps=4, padding_free=True)
    for one, other in zip(padded.history, flat.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], abs=1e-5)
        assert other["tokens"] == one["tokens"]


def test_the_merged_model_says_what_base_and_adapter_say(
    run: Run, model: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    _, adapter = run(max_steps=4)
    save_merged(str(model), adapter, tmp_path / "merged")
    tokens = torch.arange(20).reshape(1, 20)
    with torch.no_grad():
        base = load(model)(tokens).logits
        whole = load(tmp_path / "merged")(tokens).logits
        apart = PeftModel.from_pretrained(load(model), str(adapter)).eval()(tokens).logits
    assert torch.allclose(whole, apart, atol=1e-5)
    assert not torch.allclose(whole, base, atol=1e-2)
    page = (tmp_path / "merged" / "README.md").read_text(encoding="utf-8")
    assert "library_name: transformers" in page
    assert "merged" in page
    assert load_tokenizer(str(tmp_path / "merged")).eos_token == END


def test_the_same_run_gives_the_same_bytes_and_another_seed_others(run: Run) -> None:
    _, first = run(lora_dropout=0.2)
    _, second = run(lora_dropout=0.2)
    _, other = run(lora_dropout=0.2, seed=2)
    names = sorted(path.name for path in first.iterdir())
    assert names == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "generation_config.json",
    ]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    weights = "adapter_model.safetensors"
    assert (first / weights).read_bytes() != (other / weights).read_bytes()
    # PEFT keeps the names in a set, whose order differs from process to process.
    layers = json.loads((first / "adapter_config.json").read_text())["target_modules"]
    assert len(layers) == 14
    assert layers == sorted(layers)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_is_saved_is_what_was_trained(run: Run, model: Path, method: str) -> None:
    from peft import PeftModel

    changes = {"method": method, "schedule": "constant", "warmup_ratio": 0.0, "batch_size": 24}
    outcome, trained = run(max_steps=5, **changes)
    longer, _ = run(max_steps=6, **changes)
    assert longer.history[:5] == outcome.history
    assert longer.metrics["final_loss"] < outcome.metrics["first_loss"] - 0.1
    lm = load(trained) if method == "full" else PeftModel.from_pretrained(load(model), trained)
    rows = [instance(number) for number in range(24)]
    losses = completion_losses(lm, load_tokenizer(str(model)), rows)
    # Step 6 reads every row, with the weights that five steps have left.
    assert longer.metrics["final_loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_the_model_learns_to_stop(run: Run) -> None:
    given = material(instances=[instance(number, "ok") for number in range(24)])
    _, trained = run(given, method="full", epochs=30)
    tokenizer = load_tokenizer(str(trained))
    prompt = tokenizer(training_text(instance(3), "plain", 1).prompt, return_tensors="pt")
    answer = load(trained).generate(**prompt, max_new_tokens=8, do_sample=False)
    assert tokenizer.decode(answer[0][prompt["input_ids"].shape[1] :]) == f" ok{END}"


def test_a_full_model_is_saved_in_the_precision_of_its_base(run: Run, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    base = tmp_path / "half"
    load(save_random_model(base)).to(dtype=torch.bfloat16).save_pretrained(base)
    _, trained = run(base=base, method="full", max_steps=1)
    kinds = {tensor.dtype for tensor in load_file(trained / "model.safetensors").values()}
    assert kinds == {torch.bfloat16}


def test_every_offered_row_is_listed_with_what_became_of_it(run: Run) -> None:
    own = [instance(number) for number in range(6)] + [instance(6, "x" * 300)]
    other = [instance(number, "other") for number in (0, 1, 2, 3, 4, 6)]
    pairs = (Pair(input="", output="one"), Pair(input="", output="y" * 300))
    seeds = [Seed.make("s", "n", "Do it.", pairs, False, "CC-BY-4.0")]
    outcome, trained = run(material(instances=own, others=[other], seeds=seeds), rows=4)
    reasons = Counter((row.source, row.reason) for row in outcome.used)
    assert reasons == {
        ("instance", ""): 4,
        ("instance", "too_long"): 1,
        ("instance", "unmatched"): 1,
        ("instance", "over_limit"): 1,
        ("seed", ""): 1,
        ("seed", "too_long"): 1,
    }
    assert [row.id for row in outcome.used[:4]] == [row.id for row in own[:4]]
    first = outcome.used[0]
    # One token per byte, and the end token: " apple apple" and "<|end|>".
    assert first.completion_tokens == len(" apple apple") + 1
    text = training_text(own[0], "plain", 1)
    assert first.tokens == len((text.prompt + text.completion).encode()) + 1
    found = {name: outcome.metrics[name] for name in ("rows", "seed_rows", "cut", "unmatched")}
    assert found == {"rows": 5, "seed_rows": 1, "cut": 2, "unmatched": 1}
    page = (trained / "README.md").read_text()
    assert "- 4 machine-written rows and 1 rows of seed tasks." in page
    assert "- Left out: 1 over_limit, 2 too_long, 1 unmatched." in page
    assert "- CC-BY-4.0: 1 rows of seed tasks\n- unknown: 4 machine-written rows" in page
    assert 'license: "unknown"' in page


def test_tokens_are_counted_over_all_epochs(run: Run) -> None:
    outcome, _ = run(epochs=3)
    assert outcome.metrics["tokens"] == 3 * sum(row.tokens for row in outcome.used)
    assert outcome.metrics["steps"] == 9


def test_nothing_is_sent_anywhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was sent")

    import trl.trainer.base_trainer as trl_base

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(trl_base, "send_telemetry", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    run(max_steps=2, checkpoint_steps=1)


def test_rows_that_are_all_too_long_are_refused_with_the_remedy(run: Run) -> None:
    given = material(instances=[instance(1, "z" * 300), instance(2, "z" * 400)])
    with pytest.raises(DataError, match="all 2 rows are longer than max_length, 256 tokens") as one:
        run(given)
    shortest = min(len(example.tokens) for example in _examples(given))
    assert f"set max_length to {shortest} or more" in str(one.value)


def _examples(given: Material) -> Any:  # noqa: ANN401
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(str(save_random_model(Path(folder))))
        texts = [training_text(row, "plain", 1) for row in given.instances]
        return list(encode(texts, tokenizer))


def test_arms_without_a_common_instruction_are_refused(run: Run) -> None:
    with pytest.raises(DataError, match="no instruction has a row"):
        run(material(others=[[instance(99)]]))


def test_a_model_that_reads_less_than_max_length_is_refused(run: Run) -> None:
    with pytest.raises(ParameterError, match="max_length is 1024; the model reads at most 512"):
        run(max_length=1024)


def test_a_gpu_that_is_not_there_is_named(run: Run) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA GPU")
    with pytest.raises(DependencyError, match="method is 'qlora', but torch finds no CUDA GPU"):
        run(method="qlora")
    with pytest.raises(DependencyError, match="device is 'cuda'"):
        run(device="cuda")


def test_a_missing_model_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: transformers cannot read it"):
        run(base=tmp_path / "nowhere")


def test_weights_in_a_pickle_are_not_loaded(run: Run, tmp_path: Path) -> None:
    base = save_random_model(tmp_path / "pickled")
    torch.save(load(base).state_dict(), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"no \*\.safetensors.*refine-af convert-model"):
        run(base=base)


def test_training_that_diverges_stops_with_the_step(model: Path, tmp_path: Path) -> None:
    settings = SFTParams(**SETTINGS)
    lm = load_trainable(str(model), settings, "cpu")
    with torch.no_grad():
        next(lm.parameters()).fill_(float("nan"))
    tokenizer = load_tokenizer(str(model))
    texts = [training_text(instance(number), "plain", 1) for number in range(8)]
    rows = write_examples(tmp_path / "rows.arrow", encode(texts, tokenizer))
    with pytest.raises(ParameterError, match=r"loss of step 1 is nan; .*lower learning_rate"):
        train(
            lm,
            tokenizer,
            rows,
            settings,
            device="cpu",
            journal=MemoryJournal(),
            progress=StageProgress("train_sft"),
            scratch=tmp_path,
        )
