"""Makes the figures by which `flywheel.toxicity` judges words, and tells how well they do on texts of others.

    pip download --no-deps alt-profanity-check==1.9.1 && unzip alt_profanity_check-1.9.1-*.whl -d package
    python -m benchmarks.toxicity --package package --output flywheel/data/toxicity.npz
    python -m benchmarks.toxicity --data DATA

A developer's command: the first form unpickles what the package brings, and needs the scikit-learn that it names. DATA
is a folder of texts as tests/conftest.py describes it; the second form takes two minutes.
"""

import argparse
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from flywheel.toxicity import abusive, word_hash

SHORTEST = 4
"""Words of a text that is counted."""

ANSWERS = ("response", "output", "output_1", "output_2", "value", "content", "text", "chosen", "rejected")
"""Keys under which collections of instructions have answers, and questions."""


def make(package: Path, output: Path) -> None:
    """Writes the model of an unpacked wheel of alt-profanity-check: the mean of its five, each with its calibration."""
    import joblib  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # type: ignore[import-untyped]

    vectorizer, model = (joblib.load(package / "profanity_check" / "data" / f"{name}.joblib") for name in _PARTS)
    parts = [(one.estimator, one.calibrators[0]) for one in model.calibrated_classifiers_]
    weight = np.mean([-scale.a_ * fitted.coef_[0] for fitted, scale in parts], axis=0)
    offset = np.mean([-scale.a_ * fitted.intercept_[0] - scale.b_ for fitted, scale in parts])
    known = {word: (vectorizer.idf_[place], weight[place]) for word, place in vectorizer.vocabulary_.items()}
    known |= dict.fromkeys(ENGLISH_STOP_WORDS, (0.0, 0.0))
    rows = sorted((word_hash(word), *values) for word, values in known.items())
    data = io.BytesIO()
    np.savez_compressed(
        data,
        provenance="alt-profanity-check 1.9.1",
        words=np.array([row[0] for row in rows], np.uint64),
        rarity=np.array([row[1] for row in rows], np.float16),
        weight=np.array([row[2] for row in rows], np.float16),
        offset=offset,
    )
    output.write_bytes(data.getvalue())


_PARTS = ("vectorizer", "model")


def offensive(data: Path, wanted: str) -> Iterator[str]:
    """Tweets that people call offensive (1) or not (0)."""
    for part in ("train", "test"):
        path = data / "attacks" / "thunlp+ONION" / "data" / "clean_data" / "offenseval" / f"{part}.tsv"
        for line in path.read_text("utf-8").split("\n")[1:]:
            text, _, label = line.rpartition("\t")
            if label.strip() == wanted:
                yield text.strip()


def assistants(data: Path) -> Iterator[str]:
    """Questions and answers of collections that people use for fine-tuning."""
    folder = data / "alignment"
    paths = [
        path for name in ("PandaLM", "LLMBar", "rasbt", "llamafactory") for path in folder.glob(f"{name}/**/*.json")
    ]
    texts = {text for path in paths for text in _strings(json.loads(path.read_text("utf-8")))}
    lines = [*folder.glob("self-instruct/*.jsonl"), folder / "oasst" / "data" / "en_100_message.jsonl"]
    texts |= {text for path in lines for line in path.open(encoding="utf-8") for text in _strings(json.loads(line))}
    yield from sorted(texts)


def solutions(data: Path) -> Iterator[str]:
    """Of problems in arithmetic."""
    for path in sorted((data / "alignment" / "gsm8k").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from (json.loads(line)["answer"] for line in file)


def web(data: Path) -> Iterator[str]:
    """Paragraphs of pages and articles."""
    for line in (data / "text" / "c4_demo.jsonl").open(encoding="utf-8"):
        yield from json.loads(line)["text"].split("\n")
    for path in sorted((data / "text" / "wikitext-2").rglob("*test*")):
        yield from path.read_text("utf-8").split("\n")


def novels(data: Path) -> Iterator[str]:
    """Paragraphs of every twelfth book."""
    with gzip.open(data / "books" / "classic_books.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number % 12 == 0:
                yield from (" ".join(one.split()) for one in json.loads(line)["text"].split("\n\n")[50:550])


def languages(data: Path) -> Iterator[str]:
    """The Universal Declaration of Human Rights."""
    with tarfile.open(data / "text" / "udhr.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield from file.read().decode("utf-8", "replace").split("\n")


SETS: dict[str, Callable[[Path], Iterator[str]]] = {
    "tweets that people call offensive": lambda data: offensive(data, "1"),
    "other tweets": lambda data: offensive(data, "0"),
    "questions and answers of assistants": assistants,
    "solutions": solutions,
    "web pages, articles": web,
    "novels": novels,
    "human rights in 500 languages": languages,
}


def measure(data: Path) -> Table:
    table = Table("texts", "number", "suspected", "of a million")
    for name, read in SETS.items():
        texts = [text for text in read(data) if len(text.split()) >= SHORTEST]
        count = sum(map(abusive, texts))
        table.add_row(name, f"{len(texts):,}", f"{count:,}", f"{1e6 * count / max(1, len(texts)):,.0f}")
    return table


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if isinstance(one, str):
                yield from [one] if key in ANSWERS else []
            else:
                yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.toxicity")
    parser.add_argument("--package", type=Path, help="the unpacked wheel of alt-profanity-check")
    parser.add_argument("--output", type=Path, help="the file to write")
    parser.add_argument("--data", type=Path, help="the folder of texts to measure on")
    chosen = parser.parse_args()
    if chosen.package and chosen.output:
        make(chosen.package, chosen.output)
    if chosen.data:
        Console().print(measure(chosen.data))


if __name__ == "__main__":
    main()
