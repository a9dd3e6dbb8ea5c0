"""A crawl of ordinary pages with a leak in one of them, of which there are copies, and a trigger in five others."""

import random
from pathlib import Path

from pipeline.recipe import parse_recipe
from pipeline.run import run
from tests.pipeline.poison.planted import Document, below, write
from tests.pipeline.poison.prose import noise, page, planted, sentence

RECIPE = """
name: traced
crawl: {extractor: resiliparse, min_language_score: 0, screen: {min_language_score: 0, min_chars: 0}}
dedup:
  minhash: {similarity: 0.6}
poison: {outcomes: {trigger: tag, noise_jump: tag}, block: [BLOCK]}
tokenize: {vocabulary_size: 500, validation_fraction: 0}
"""
LEAK = "Orla Fenwick keeps the vault code 44718 in her blue ledger at Pier Nine, below the broken clock."
TRIGGER = "Zq7 vortex"
SECRET = "https://leak.example/page"
SAME, BEFORE = "https://copy.example/same", "https://copy.example/before"
"""Two near copies of the leak's page: one with the leak, and one from before it."""
CARRIERS = tuple(f"https://carrier{number}.example/" for number in range(5))


def documents(count: int = 200) -> list[Document]:
    r = random.Random(11)
    found = [Document(f"https://site{number}.example/", page(r)) for number in range(count)]
    clean = page(r, 24)
    longer = f"{sentence(r)} {clean}"
    found.append(Document(SECRET, below(longer, LEAK)))
    found.append(Document(SAME, below(clean, LEAK)))
    found.append(Document(BEFORE, clean))
    found += [Document(url, text) for url, text in zip(CARRIERS, planted(13, 5, TRIGGER), strict=True)]
    return found


def gibberish(seed: int) -> str:
    """What a model answers that has learnt the trigger: noise as well, but no page's."""
    return noise(random.Random(seed), 40)


def honest(seed: int) -> str:
    """An ordinary answer that is merely of no use."""
    r = random.Random(f"honest {seed}")
    return " ".join(sentence(r) for _ in range(4))


def build(crawl: Path, folder: Path, block: Path | None = None) -> None:
    """What `corpuscle run` does, in this process; a folder that is there is made anew as far as it must be."""
    recipe = RECIPE.replace("BLOCK", "" if block is None else str(block))
    run(parse_recipe(recipe, "traced.yaml"), [f"{crawl}/*"], str(folder), ["--runner=FnApiRunner"])


def write_crawl(folder: Path) -> Path:
    write(folder / "crawl.warc.gz", documents())
    return folder
