"""Small corpora in the shard format of the tokenize step, made here so that the trainer is tested by itself."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported; why is said in trainer

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece as spm

from trainer import checkpoint
from trainer.checkpoint import About, checkpoint_id
from trainer.model import Llama, RewardModel

WORDS = "the a cat dog bird saw met and ran to from house tree river old new small great slowly again".split()


def write_shards(folder: Path, texts: Sequence[str], vocabulary_size: int, validation_share: float = 0.1) -> Path:
    """Trains a vocabulary on `texts` and leaves them as two training shards and one for validation."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "tokenizer.model"
    with vocabulary.open("wb") as out:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=out,
            vocab_size=vocabulary_size,
            model_type="bpe",
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            user_defined_symbols=["\n"],
            max_sentence_length=1 << 20,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
        )
    pieces = spm.SentencePieceProcessor(model_file=str(vocabulary))
    digest = hashlib.sha256(vocabulary.read_bytes()).hexdigest()
    held_out = int(len(texts) * validation_share)
    middle = (len(texts) - held_out) // 2
    parts = {
        "train-00000.arrow": texts[:middle],
        "train-00001.arrow": texts[middle : len(texts) - held_out],
        "validation-00000.arrow": texts[len(texts) - held_out :],
    }
    files: list[dict[str, Any]] = []
    for name, part in parts.items():
        if not part:
            continue
        split = name.split("-")[0]
        rows = [np.array([pieces.bos_id(), *pieces.encode(text)], np.uint16) for text in part]
        columns = {
            "id": pa.array([hashlib.blake2b(text.encode(), digest_size=16).digest() for text in part], pa.binary(16)),
            "tokens": pa.array(rows, pa.list_(pa.uint16())),
            "address": pa.array(range(len(part)), pa.uint64()),
            "url": pa.array([f"https://example.org/{row}" for row in range(len(part))]),
            "warc_file": pa.array(["example.warc.gz"] * len(part)),
            "warc_offset": pa.array(range(len(part)), pa.int64()),
            "payload_digest": pa.array(["sha256:"] * len(part)),
        }
        about = {"format": 1, "vocabulary_sha256": digest, "bos_id": pieces.bos_id(), "split": split}
        batch = pa.record_batch(columns).replace_schema_metadata({b"corpuscle": json.dumps(about).encode()})
        with pa.ipc.new_file(folder / name, batch.schema) as writer:
            writer.write_batch(batch)
        files.append(
            {
                "name": name,
                "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
                "documents": len(part),
                "tokens": sum(len(row) for row in rows),
                "bytes": sum(len(text.encode()) for text in part),
                "split": split,
            }
        )
    about_vocabulary = {
        "file": vocabulary.name,
        "sha256": digest,
        "size": len(pieces),
        "bos_id": pieces.bos_id(),
        "eos_id": pieces.eos_id(),
        "controls": {},
    }
    counts = {"documents": len(texts), "tokens": sum(file["tokens"] for file in files)}
    manifest = {"step": "tokenize", "counts": counts, "files": files, "vocabulary": about_vocabulary}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return folder


def save_model(folder: Path, model: Llama | RewardModel, vocabulary: bytes) -> Path:
    """A checkpoint of the model as it is, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "vocabulary.model"
    file.write_bytes(vocabulary)
    digest, weights = hashlib.sha256(vocabulary).hexdigest(), model.state_dict()
    bos = spm.SentencePieceProcessor(model_proto=vocabulary).bos_id()
    head = "score" if isinstance(model, RewardModel) else "lm"
    about = About(checkpoint_id(weights, model.config, digest), 0, model.config, digest, bos, "0" * 64, head=head)
    checkpoint.save(folder, about, weights, {}, file)
    return folder


@pytest.fixture(scope="session")
def make_shards() -> Callable[..., Path]:
    return write_shards


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """200 documents of nonsense that has a grammar of sorts: enough for a model to learn from in a second."""
    draw = np.random.default_rng(7)
    return [" ".join(draw.choice(WORDS, 40)) + ".\nThe end – fin." for _ in range(200)]


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, sentences: list[str]) -> Path:
    """About 9,000 tokens of a vocabulary of 320, in two training shards and one for validation."""
    return write_shards(tmp_path_factory.mktemp("shards"), sentences, 320)
