"""The corpora of the months: a search index for each, and `current`, a link to the newest that is whole.

A link and no file, so that every command that takes a corpus's folder takes `corpora/current`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.manifest import read_manifest
from trainer.talk.tools.index import Corpus, Index

CURRENT = "current"
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True)
class Indexed:
    """A corpus that can be searched, and which one is the newest."""

    passages: int
    current: str
    new: bool
    """Whether the index, or the link, was made just now."""


def index(corpora: Path, month: str) -> Indexed:
    """Makes the index of a month's corpus, and lets `current` be the newest that is whole. Again, it does nothing.

    An older month that is made later does not become the current one. Raises FileNotFoundError, ValueError.
    """
    corpus = Corpus(corpora / month)
    there = (corpus.folder / corpus.fingerprint()).exists()
    passages = len(Index(corpus).passages)
    newest = max(
        (path.name for path in corpora.iterdir() if _MONTH.fullmatch(path.name) and read_manifest(str(path))),
        default=month,
    )
    link = corpora / CURRENT
    before = str(link.readlink()) if link.is_symlink() else None
    if before != newest:
        part = corpora / f".{CURRENT}.part"
        part.unlink(missing_ok=True)
        part.symlink_to(newest)  # as seen from the folder, so that the whole may be moved
        part.replace(link)
    return Indexed(passages, newest, not there or before != newest)
