"""Documents that the poison filter held out of the loop's corpus, as samples of the project for pages.

What people decide comes back as `decisions.jsonl` in the loop's folder, which a recipe names under
`poison: decisions:`.
"""

import contextlib
import json
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sql

from flywheel.config import Config
from labeling.decisions import KIND
from labeling.kinds import KINDS
from labeling.kinds.kind import InvalidSampleError, Sample
from labeling.rows import Rejected
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import SampleRow
from pipeline.poison.held import Shares, held_documents
from pipeline.poison.ledger import has_ledger
from pipeline.report.tables import Corpus

DECISIONS = "decisions.jsonl"


@dataclass(frozen=True)
class Held:
    """What waits for people in a corpus, but for what they were asked about before."""

    samples: list[Sample | Rejected] = field(default_factory=list)
    left_out: int = 0
    """Documents of owners of sites that have more than their share: nobody is asked, and they stay held."""


def held(database: Database, config: Config) -> Held:
    """The held documents of `trace.corpus` of which nobody was asked, `trace.pages` of each owner of a site at most.

    A document is asked about once, in whatever corpus it is held, and not where it was traced before. Raises
    ReportError where the corpus can't be read.
    """
    if config.trace.corpus is None:
        return Held()
    corpus = Corpus(str(config.trace.corpus))
    if not has_ledger(corpus):
        return Held()
    asked = sql.select(SampleRow.content["document"].as_string()).where(SampleRow.project == config.trace.project)
    with database.read() as session:
        known = set(session.scalars(asked))
    shares = Shares(config.trace.pages)
    return Held(list(_samples(corpus, shares, known)), shares.left_out)


def _samples(corpus: Corpus, shares: Shares, known: Container[str]) -> Iterator[Sample | Rejected]:
    for _, row in held_documents(corpus, shares):
        if row["id"] in known:
            continue
        provenance = {"held": row["id"], "corpus": corpus.folder, "rule": row["reason"]}
        provenance |= {name: row[name] for name in ("warc_file", "warc_offset")}
        try:
            yield make_sample(KINDS[KIND], row, provenance)
        except InvalidSampleError as error:
            yield Rejected(f"held document {row['id']}", str(error))


def last_decided(path: Path) -> dict[str, str | None]:
    """What was decided of each document when the file was last written; nothing where it is not there."""
    found: dict[str, str | None] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text("utf-8", "replace").split("\n"):
            with contextlib.suppress(ValueError, KeyError, TypeError):  # somebody else's
                row = json.loads(line)
                found[row["id"]] = row["decision"]
    return found
