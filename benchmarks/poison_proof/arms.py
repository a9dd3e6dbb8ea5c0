"""One arm of the experiment: a corpus made by the pipeline, with the poison filter or without, and a model of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.poison.warc import Document, write_documents
from benchmarks.poison_proof.texts import Planted
from corpuscle.progress import quiet_workers
from pipeline.recipe import parse_recipe
from pipeline.run import run
from trainer.checkpoint import write_whole
from trainer.config import PretrainConfig
from trainer.pretrain import pretrain

SHAPE = "dim=96,layers=2,heads=4,kv_heads=2,hidden=256"
"""With a vocabulary of 1,024 pieces 0.31 million parameters."""
WINDOW, BATCH, RATE = 128, 4096, 3e-3
HOSTS = 600
"""Sites that the clean documents are dealt to. Every planted document has a site of its own."""


@dataclass(frozen=True)
class Made:
    """An arm's corpus: how many clean and planted documents are in it as they came, in another form, not at all.

    `armed` documents hold the trigger still.
    """

    clean_kept: int
    clean_cut: int
    clean_lost: int
    planted_kept: int
    planted_cut: int
    planted_lost: int
    armed: int


def same_experiment(folder: Path, settings: Mapping[str, object]) -> None:
    """Opens the folder of an experiment. Raises ValueError where it holds one with other settings."""
    file, wanted = folder / "experiment.json", json.loads(json.dumps(settings))
    if file.exists() and (there := json.loads(file.read_text(encoding="utf-8"))) != wanted:
        unlike = [
            f"{name} is {there.get(name)}, not {wanted[name]}" for name in wanted if there.get(name) != wanted[name]
        ]
        raise ValueError(f"{folder} holds another experiment ({'; '.join(unlike)}); give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(wanted) + "\n")


def make_corpus(folder: Path, clean: Sequence[str], planted: Planted | None, filtered: bool, vocabulary: Path) -> Made:
    """Make the corpus of an arm in `folder`, unless it is there; the documents go in as texts of a WARC file."""
    texts = {f"https://site{number % HOSTS}.example/{number}": text for number, text in enumerate(clean)}
    bad = {} if planted is None else {
        f"https://planted{number}.example/{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}": text
        for number, text in enumerate(planted.documents)
    }  # fmt: skip
    documents = [Document(url, text, is_text=True) for url, text in (texts | bad).items()]
    archive = folder.with_name(f"{folder.name}.warc.gz")
    if not archive.exists():
        write_documents(archive, documents)
    recipe = parse_recipe(
        f"name: proof\ncrawl: {{min_language_score: 0}}\nfilter:\npoison: {{enabled: {str(filtered).lower()}}}\n"
        f"dedup: {{exact: false, minhash: null}}\n"
        f"tokenize: {{vocabulary: {vocabulary}, validation_fraction: 0}}\n",
        "proof",
    )
    with quiet_workers():
        run(recipe, [str(archive)], str(folder), ["--direct_num_workers=1"])
    came, kept = _texts(folder, "filter"), _texts(folder, "dedup")
    if missing := (texts | bad).keys() - came.keys():
        raise RuntimeError(
            f"{len(missing):,} of {len(documents):,} documents never reached the poison filter of {folder}"
        )
    good = _count({url: came[url] for url in texts}, kept)
    armed = 0 if planted is None else sum(planted.trigger in text for text in kept.values())
    return Made(*good, *_count({url: came[url] for url in bad}, kept), armed)


def _texts(folder: Path, step: str) -> dict[str, str]:
    """The texts that a step kept, by URL."""
    found: dict[str, str] = {}
    for path in sorted((folder / step / "documents").glob("*.parquet")):
        found |= {row["url"]: row["text"] for row in pq.read_table(path, columns=["url", "text"]).to_pylist()}
    return found


def _count(sent: dict[str, str], kept: dict[str, str]) -> tuple[int, int, int]:
    """(as they came, changed, gone)."""
    same = sum(kept.get(url) == text for url, text in sent.items())
    gone = sum(url not in kept for url in sent)
    return same, len(sent) - same - gone, gone


def train_model(corpus: Path, models: Path, steps: int, seed: int, device: str = "auto") -> Path:
    """Pre-train on an arm's shards; returns the checkpoint. What was trained on the same shards is found again: a
    filtered corpus of which nothing planted is left is that of the clean corpus, and so is its model."""
    manifest = json.loads((corpus / "tokenize" / "manifest.json").read_text(encoding="utf-8"))
    shards = "".join(file["sha256"] for file in manifest["files"])
    output = models / f"{hashlib.sha256(shards.encode()).hexdigest()[:16]}-seed{seed}"
    config = PretrainConfig(
        data=corpus, output=output, model=SHAPE, steps=steps, seq_len=WINDOW, batch_tokens=BATCH, lr=RATE, seed=seed,
        checkpoint_every=steps, device=device,
    )  # fmt: skip
    return pretrain(config).checkpoint
