"""Where `corpuscle label push` takes its samples from: the options of the command, as the functions that read."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from labeling.again import Judge, second_look, to_review
from labeling.critiques import with_critiques
from labeling.drafts import Drafter
from labeling.kinds.kind import Kind, Sample
from labeling.project import REVIEW, kind_of
from labeling.rows import Known, Rejected
from labeling.sources import SourceError, answered, passages, read_samples, reported
from labeling.store.database import Database, check_url
from labeling.store.labels import Project
from labeling.store.sending import asked_before, reported_before


@dataclass(frozen=True)
class Wanted:
    """The sources that were named."""

    file: Path | None
    reports: bool
    mask: bool
    corpus: Path | None
    count: int
    seed: int
    answers_from: Sequence[Drafter]
    gold: Path | None
    judge: Drafter | None
    critic: Drafter | None


def samples(
    database: Database, project: Project, wanted: Wanted, stack: ExitStack
) -> Iterator[Sample | Rejected | Known]:
    """The samples of all sources, one after the other. `stack` closes the reports' store. Raises SourceError."""
    kind = kind_of(database, project)
    if wanted.answers_from and wanted.file is None:
        raise SourceError("--answers-from needs a FILE with prompts; name one")
    if wanted.critic is not None and kind.name != "comparisons":
        raise SourceError(f"--critiques-from is for comparisons, and {project.name} is a project of {kind.name}")
    found = chain.from_iterable(_sources(database, project, kind, wanted, stack))
    if wanted.critic is None:
        return found
    return with_critiques(found, kind.name, wanted.critic, asked_before(database, project.name))


def _sources(
    database: Database, project: Project, kind: Kind, wanted: Wanted, stack: ExitStack
) -> Iterator[Iterator[Sample | Rejected | Known]]:
    if wanted.gold is not None:
        yield read_samples(wanted.gold, kind, gold=True)
    if wanted.file is not None and wanted.answers_from:
        yield answered(wanted.file, kind, wanted.answers_from, asked_before(database, project.name))
    elif wanted.file is not None:
        yield read_samples(wanted.file, kind)
    if wanted.reports:
        store = os.environ.get("CORPUSCLE_STORE", "sqlite:///corpuscle.db")
        check_url(store, must_be_there=True)  # or an empty one would be made, and nothing found in it
        chat = stack.enter_context(Database(store))
        yield reported(chat, kind, wanted.mask, reported_before(database, project.name))
    if wanted.corpus is not None:
        yield passages(wanted.corpus, kind, wanted.count, wanted.seed)
    if project.kind == REVIEW:
        yield to_review(database, project, kind)
    elif project.reviews is not None:
        yield second_look(database, project, kind, Judge(wanted.judge) if wanted.judge else None)
