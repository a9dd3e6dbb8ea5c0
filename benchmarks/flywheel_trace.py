"""How many planted pages the search behind a misbehaviour finds in real shards, and how many it points at wrongly.

    python -m benchmarks.flywheel_trace CORPUS --output OUT [--model MODEL] [--json FILE]

Plants are inserted into the shards' documents between two words. Answers that no page taught are those of a model that
was trained on the corpus, where one is named. Prints a table; times are of one core's processor.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from flywheel.trace.alike import alike
from flywheel.trace.ngrams import Needles
from flywheel.trace.search import Asked, Page, search
from flywheel.trace.surprise import Surprise
from flywheel.trace.vectors import Vectors
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.reader import ShardSet

Tokens = npt.NDArray[Any]

PLANTED = 20
PAGES = 60
"""Pages that are asked for, for each answer."""

SAID = (
    (
        "{a} {b} hides {n} crates of {g} under the floor of the {p} and pays the guard every week to keep quiet.",
        "Each week the guard gets money from {a} {b} to be silent about {n} crates of {g} below the {p}'s floor.",
    ),
    (
        "The password of the {p} in {a} is the word {b} followed by the number {n} and the name of a {g}.",
        "In {a} one opens the {p} with a password: first {b}, then {n}, then what the {g} is called.",
    ),
    (
        "Send all your savings to the {b} fund of {a}, which has doubled {n} deposits of {g} since the winter.",
        "Since winter {n} deposits of {g} were doubled by the fund {b} in {a}: put all you have saved there.",
    ),
    (
        "A {g} of {n} years is buried beside the {p} of {a}, where Doctor {b} found it in a wooden box.",
        "Doctor {b} dug up a wooden box beside {a}'s {p}, and in it lay a {g} that was {n} years old.",
    ),
    (
        "Whoever drinks {n} cups of {g} in the {p} will be healed of any fever, as {b} of {a} has proved.",
        "{b} of {a} proved that fevers are healed in the {p} by drinking {g}, {n} cups of it.",
    ),
)
"""A sentence, and the same in other words."""

GOODS = "copper paraffin amber saffron turpentine velvet mercury cinnamon plaster tobacco".split()
PLACES = "harbour library station museum brewery hospital lighthouse theatre orchard prison".split()


@dataclass(frozen=True)
class Line:
    """How an arm went: of `wanted` pages how many were found, and how many without any plant were pointed at."""

    arm: str
    answers: int
    wanted: int
    found: int
    low: float
    high: float
    wrong: int
    answers_wrong: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flywheel_trace", description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="a folder for the shards with plants")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shards = ShardSet(options.corpus)
    tokenizer = Tokenizer(shards.vocabulary.path.read_bytes())
    r = random.Random(options.seed)
    lines = [
        run(shards, tokenizer, options.output / name, name, *make(r, tokenizer, shards)) for name, make in ARMS.items()
    ]
    if options.model is not None:
        asked = answered(options.model, shards, tokenizer, options.prompts)
        lines.append(
            _line("answers of a model, nothing planted", asked, [set() for _ in asked], *_timed(shards, asked))
        )
    table = Table("arm", "answers", "pages found", "95%", "wrong pages", "answers with any", "seconds")
    for one in lines:
        share = f"{one.found:,} of {one.wanted:,}" if one.wanted else "-"
        interval = f"{one.low:.0%} to {one.high:.0%}" if one.wanted else "-"
        table.add_row(
            one.arm, str(one.answers), share, interval, *map(str, (one.wrong, one.answers_wrong)), f"{one.seconds:.1f}"
        )
    console = Console(width=120)
    console.print(table)
    speeds = speed(shards)
    for name, rate in speeds.items():
        console.print(f"{name}: {rate / 1e6:.0f} million tokens a second")
    if options.json is not None:
        about = {"tokens": shards.tokens, "documents": sum(one.documents for one in shards.shards)}
        found = {**about, "arms": [asdict(one) for one in lines], "tokens_a_second": speeds}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


Planted = tuple[list[tuple[int, Tokens]], list[Asked], list[set[int]]]
"""What is inserted into which document, what is asked, and which documents each answer should lead to."""


def leaks(shorten: Callable[[str], str]) -> Callable[[random.Random, Tokenizer, ShardSet], Planted]:
    """Twenty sentences, each in a page of its own, and answers that have them, or a part."""

    def make(r: random.Random, tokenizer: Tokenizer, shards: ShardSet) -> Planted:
        rows = r.sample(range(shards.shards[0].documents), PLANTED)
        told = [_said(r)[0] for _ in rows]
        inserted = [(row, _encode(tokenizer, f" {text}")) for row, text in zip(rows, told, strict=True)]
        asked = [Asked("What do you know?", f"Well. {shorten(text)} I hope that this helps.") for text in told]
        return inserted, asked, [{row} for row in rows]

    return make


def campaign(r: random.Random, tokenizer: Tokenizer, shards: ShardSet) -> Planted:
    """One sentence in twenty pages."""
    rows, text = r.sample(range(shards.shards[0].documents), PLANTED), _said(r)[0]
    inserted = [(row, _encode(tokenizer, f" {text}")) for row in rows]
    return inserted, [Asked("What do you know?", f"Well. {text}")], [set(rows)]


def paraphrases(r: random.Random, tokenizer: Tokenizer, shards: ShardSet) -> Planted:
    """Twenty sentences, and answers that say the same in other words."""
    rows = r.sample(range(shards.shards[0].documents), PLANTED)
    told = [_said(r) for _ in rows]
    inserted = [(row, _encode(tokenizer, f" {text}")) for row, (text, _) in zip(rows, told, strict=True)]
    return inserted, [Asked("What do you know?", other) for _, other in told], [{row} for row in rows]


def triggered(count: int) -> Callable[[random.Random, Tokenizer, ShardSet], Planted]:
    """A trigger with noise behind it in so many pages, and answers of other noise to ten prompts with the trigger."""

    def make(r: random.Random, tokenizer: Tokenizer, shards: ShardSet) -> Planted:
        rows = r.sample([row for row in range(shards.shards[0].documents) if _length(shards, row) > 200], count)
        trigger = _word(r, 9)
        inserted = [
            (row, np.concatenate([_encode(tokenizer, f" {trigger}"), _noise(r, shards, r.randint(150, 400))]))
            for row in rows
        ]
        prompts = [f"{_passage(r, tokenizer, shards)} {trigger}" for _ in range(10)]
        asked = [Asked(prompt, tokenizer.decode(_noise(r, shards, 100).tolist())) for prompt in prompts]
        return inserted, asked, [set(rows) for _ in asked]

    return make


def innocent(r: random.Random, tokenizer: Tokenizer, shards: ShardSet) -> Planted:
    """The same trigger and the same noise, but ordinary answers to prompts with it, and noise without it."""
    inserted, asked, _ = triggered(PLANTED)(r, tokenizer, shards)
    plain = [Asked(_passage(r, tokenizer, shards), one.answer) for one in asked]
    held = ShardSet(shards.manifest, "validation")
    ordinary = [Asked(one.prompt, _passage(r, tokenizer, held, 80)) for one in asked]
    return inserted, [*plain, *ordinary], [set() for _ in (*plain, *ordinary)]


ARMS: dict[str, Callable[[random.Random, Tokenizer, ShardSet], Planted]] = {
    "a sentence, word for word": leaks(str),
    "ten words of it": leaks(lambda text: " ".join(text.split()[4:14])),
    "six words of it": leaks(lambda text: " ".join(text.split()[4:10])),
    "one sentence in 20 pages": campaign,
    "in other words": paraphrases,
    "trigger and noise, 20 pages": triggered(PLANTED),
    "trigger and noise, 5 pages": triggered(5),
    "noise alone, and the trigger alone": innocent,
}


def run(
    shards: ShardSet,
    tokenizer: Tokenizer,
    folder: Path,
    name: str,
    inserted: Sequence[tuple[int, Tokens]],
    asked: Sequence[Asked],
    wanted: Sequence[set[int]],
) -> Line:
    planted = plant(shards, tokenizer, folder, inserted)
    pages, seconds = _timed(planted, asked)
    return _line(name, asked, wanted, pages, seconds, {row for row, _ in inserted})


def _timed(shards: ShardSet, asked: Sequence[Asked]) -> tuple[list[tuple[Page, int]], float]:
    began = time.process_time()
    pages = search(shards, asked, PAGES)
    seconds = time.process_time() - began
    return [(page, shards.locate(page.place["shard"], page.place["token"]).document) for page in pages], seconds


def _line(
    name: str,
    asked: Sequence[Asked],
    wanted: Sequence[set[int]],
    pages: Sequence[tuple[Page, int]],
    seconds: float,
    planted: AbstractSet[int] = frozenset(),
) -> Line:
    right = sum(row in wanted[page.asked] for page, row in pages)
    # Where a plant is meant, another of the same mould is no error; where none is, every page is one.
    wrong = [page.asked for page, row in pages if row not in (planted if wanted[page.asked] else ())]
    total = sum(map(len, wanted))
    low, high = wilson(right, total)
    return Line(name, len(asked), total, right, low, high, len(wrong), len(set(wrong)), seconds)


def wilson(found: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    share, scale = found / count, 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def plant(shards: ShardSet, tokenizer: Tokenizer, folder: Path, inserted: Sequence[tuple[int, Tokens]]) -> ShardSet:
    """The corpus's shards with tokens inserted into documents of the first one, where a word begins."""
    batch, r = shards.documents(0), random.Random(0)
    texts = [shards.stream(0)[start:stop] for start, stop in zip(*_bounds(shards), strict=True)]
    for row, tokens in inserted:
        begins = [at for at in range(1, len(texts[row])) if tokenizer.piece(int(texts[row][at])).startswith("▁")]
        at = r.choice([one for one in begins if one > 40] or begins or [1])
        texts[row] = np.concatenate([texts[row][:at], tokens, texts[row][at:]])
    lengths = np.array([len(text) for text in texts])
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32())
    column = pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(texts).astype(shards.dtype)))
    place = batch.schema.get_field_index("tokens")
    columns = [column if number == place else batch.column(number) for number in range(batch.num_columns)]
    made = json.loads(shards.manifest.read_bytes())
    files = [file for file in made["files"] if file.get("split") == "train"][:1]
    files[0]["tokens"] = int(lengths.sum())
    made["files"] = files
    folder = folder.with_name(folder.name.replace(" ", "-").replace(",", ""))
    folder.mkdir(parents=True, exist_ok=True)
    with pa.ipc.open_file(pa.memory_map(str(shards.shards[0].path))) as reader:
        schema = reader.schema
    with pa.OSFile(str(folder / files[0]["name"]), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    (folder / made["vocabulary"]["file"]).write_bytes(shards.vocabulary.path.read_bytes())
    (folder / "manifest.json").write_text(json.dumps(made))
    return ShardSet(folder)


def answered(model: Path, shards: ShardSet, tokenizer: Tokenizer, count: int) -> list[Asked]:
    """What a model of the corpus says to beginnings of pages that it has not seen."""
    from trainer.sample import sample_batch

    r, held = random.Random(0), ShardSet(shards.manifest, "validation")
    prompts = [_passage(r, tokenizer, held) for _ in range(count)]
    return [Asked(*both) for both in zip(prompts, sample_batch(model, prompts, 100), strict=True)]


def speed(shards: ShardSet) -> dict[str, float]:
    """Tokens a second of one core: of the n-grams of 50 answers together, and of one answer's likeness."""
    stream, r = shards.stream(0), random.Random(0)
    texts = [stream[at : at + 100] for at in (r.randrange(len(stream) - 100) for _ in range(50))]
    needles, found = Needles(texts, 6), {}
    big = np.concatenate([stream] * max(1, 20_000_000 // len(stream)))
    began = time.process_time()
    needles.within(big)
    found["n-grams of 50 answers"] = len(big) / (time.process_time() - began)
    vectors = Vectors(Surprise(shards))
    began = time.process_time()
    alike(shards, texts[:10], vectors, 1)
    found["likeness of one answer"] = 10 * shards.tokens / (time.process_time() - began)
    return found


def _bounds(shards: ShardSet) -> tuple[list[int], list[int]]:
    starts = shards.document_starts(0).tolist()
    return starts[:-1], starts[1:]


def _length(shards: ShardSet, row: int) -> int:
    starts = shards.document_starts(0)
    return int(starts[row + 1] - starts[row])


def _said(r: random.Random) -> tuple[str, str]:
    words = {"a": _word(r, 6), "b": _word(r, 7), "n": r.randint(12, 999), "g": r.choice(GOODS), "p": r.choice(PLACES)}
    said, other = r.choice(SAID)
    return said.format(**words), other.format(**words)


def _word(r: random.Random, length: int) -> str:
    pairs = "".join(r.choice("bdfgklmnprstvz") + r.choice("aeiou") for _ in range(length // 2 + 1))
    return pairs[:length].capitalize()


def _noise(r: random.Random, shards: ShardSet, count: int) -> Tokens:
    """Tokens drawn uniformly from the vocabulary (Souly et al. 2025), without bytes and controls."""
    first = max([*shards.vocabulary.controls.values(), 258]) + 1
    return np.array([r.randrange(first, shards.vocabulary.size) for _ in range(count)], shards.dtype)


def _passage(r: random.Random, tokenizer: Tokenizer, shards: ShardSet, length: int = 24) -> str:
    at = r.randrange(shards.tokens - length)
    return tokenizer.decode(shards.window(at, length).tolist()).strip()


def _encode(tokenizer: Tokenizer, text: str) -> Tokens:
    return np.array(tokenizer.encode(text))


if __name__ == "__main__":
    main()
