"""Sentence vectors against one text at a time, unpadded, and through the stage and the filter."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertTokenizer

from refine_af.contracts.errors import DataError
from refine_af.engines.sentence_vectors import Pooling, SentenceVectors
from refine_af.runner import run_stage

TEXTS = [
    "name three fruits that grow in cold climates",
    "sort the words",
    "",
    "name five rivers",
    "sort the words of a sentence by length and name the longest one of them all " * 3,
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizer(vocab=str(vocabulary)).save_pretrained(str(folder))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    model = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(str(folder))
    return folder


def one_by_one(folder: Path, how: Pooling) -> np.ndarray[Any, Any]:
    model = AutoModel.from_pretrained(folder).train(False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in TEXTS:
        read = tokenizer([text], truncation=True, max_length=32, return_tensors="pt")
        with torch.inference_mode():
            states = model(**read).last_hidden_state[0]
        vector = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[how]
        rows.append((vector / vector.norm()).numpy())
    return np.array(rows)


@pytest.mark.parametrize("how", ["mean", "cls", "last"])
def test_batches_equal_one_text_at_a_time(encoder: Path, tmp_path: Path, how: Pooling) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    names = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken"}
    (folder / "1_Pooling").mkdir()
    older = {f"pooling_mode_{name}": key == how for key, name in names.items()}
    for settings in (older, {"pooling_mode": "lasttoken" if how == "last" else how}):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
        found = SentenceVectors(str(folder), batch_size=2).embed(TEXTS)
        np.testing.assert_allclose(found, one_by_one(encoder, how), atol=1e-5)


def test_steps_that_are_not_computed_are_refused(encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    steps = [{"type": "sentence_transformers.models.Dense"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    with pytest.raises(DataError, match="step 'Dense'"):
        SentenceVectors(str(folder))
    (folder / "modules.json").unlink()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(DataError, match="asks for pooling_mode_max_tokens"):
        SentenceVectors(str(folder))


def test_the_filter_reads_what_the_stage_wrote(encoder: Path, tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "instruction": text} for n, text in enumerate(TEXTS)]
    rows.append({"id": "again", "instruction": "sort words the"})
    candidates = tmp_path / "rows.jsonl"
    candidates.write_text("".join(json.dumps(row) + "\n" for row in rows))
    vectors, metrics, kept, rejected = (
        str(tmp_path / name) for name in ("vectors", "metrics", "kept", "rejected")
    )
    run_stage(
        "embed_texts",
        params={"model": str(encoder)},
        inputs={"candidates": str(candidates)},
        outputs={"embeddings": vectors, "metrics": metrics},
    )
    assert json.loads(Path(metrics).read_text())["rows"] == 5
    run_stage(
        "dedup_filter",
        params={"max_cosine": 0.98, "max_rouge_l": 1.0},
        inputs={"candidates": str(candidates), "embeddings": vectors},
        outputs={"kept": kept, "rejected": rejected},
    )
    reasons = {
        row["parents"][0]: (row["reason"], row["neighbour"])
        for row in map(json.loads, Path(rejected).read_text().splitlines())
    }
    assert reasons["r2"] == ("no_text", None)
    assert "r1" not in reasons
