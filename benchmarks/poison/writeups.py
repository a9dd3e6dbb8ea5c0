"""Pages about prompt injection and jailbreaks that must pass: articles, advisories, a lesson; they quote attacks.

Written for this benchmark from interchangeable paragraphs, so that no two are alike.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.poison.triggers import whole_page
from benchmarks.poison.warc import Document

PARTS: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("writeups.yaml").read_text("utf-8"))


def writeups(number: int = 48, seed: int = 0) -> Iterator[Document]:
    """Articles of six to eight paragraphs, on one site: on many their common paragraphs would be a campaign."""
    rng = random.Random(f"writeups {seed}")
    for count in range(number):
        quotes, advice = rng.sample(PARTS["quotes"], rng.randint(2, 4)), rng.sample(PARTS["advice"], 2)
        paragraphs = [rng.choice(PARTS["openings"]), *quotes, *advice, rng.choice(PARTS["endings"])]
        title = rng.choice(PARTS["titles"])
        page = whole_page(title, "\n".join(paragraphs)).replace("&lt;em&gt;", "<em>").replace("&lt;/em&gt;", "</em>")
        yield Document(f"https://notes-on-safe-machines.org/{count}", page)
