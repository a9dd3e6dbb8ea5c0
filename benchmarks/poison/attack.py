"""What an attack is: a maker of payloads, and what is known of it. The attacks themselves are in the modules beside."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Where = Literal["paragraph", "inside", "comments", "page", "text"]
"""A paragraph of its own, amid a paragraph, in a comment section, a page that is nothing else, or a line of the host's
main text as a record of plain text, which no extractor sees."""


@dataclass(frozen=True)
class Host:
    """A clean page that takes a payload: its HTML, and its main text as the pipeline extracted it."""

    url: str
    date: str
    language: str
    html: str
    text: str


@dataclass(frozen=True)
class Payload:
    """What is planted into one page.

    `html` is inserted at `where`; with "page" it is the page's whole body, with "text" it is text. `css` goes into the
    head. `needles` are pieces of text as a reader of the kept document would find them: while they stand there, the
    attack stands. `url` and `date` are given where the attack chooses them, else they are the host's.
    """

    html: str
    needles: tuple[str, ...]
    where: Where = "paragraph"
    css: str = ""
    url: str | None = None
    date: str | None = None


@dataclass(frozen=True)
class Materials:
    """What attacks are made of beside their own templates: texts of attack collections by source, pieces of a
    tokenizer's vocabulary for gibberish (`pieces` those in ASCII, as a vocabulary of English has them, `all_pieces` in
    any script, which is easier to see), rare and common words of the clean crawl."""

    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pieces: Sequence[str] = ()
    all_pieces: Sequence[str] = ()
    rare_words: Sequence[str] = ()
    common_words: Sequence[str] = ()


SHORTEST_NEEDLE = 12

Draw = Callable[[random.Random, Host], Payload]
"""One document's payload."""

Begin = Callable[[random.Random, Materials], Draw]
"""What a campaign has in common (its trigger, say) is drawn here, once."""


@dataclass(frozen=True)
class Attack:
    """A row of the tables. `tuned`: its source was seen when detectors were fitted. `campaign`: its documents belong
    together, so recall depends on how many there are. `adaptive`: its author knows the rules. `most`: documents that
    can be made without using a text twice."""

    family: str
    source: str
    begin: Begin
    tuned: bool = False
    campaign: bool = False
    adaptive: bool = False
    most: int | None = None

    @property
    def name(self) -> str:
        """Family and source, by which an attack is seeded."""
        return f"{self.family}/{self.source}"


def each(draw: Draw) -> Begin:
    """A campaign without anything in common."""
    return lambda rng, materials: draw


def pieces_of(text: str, size: int = 60) -> tuple[str, ...]:
    """A text as needles: its lines, as an extractor may break it, in pieces long enough to be in no other text."""
    pieces = [line[at : at + size].strip() for line in text.split("\n") for at in range(0, len(line), size)]
    return tuple(piece for piece in pieces if len(piece) >= SHORTEST_NEEDLE) or (text,)
