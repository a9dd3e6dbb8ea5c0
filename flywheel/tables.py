"""What the loop remembers: misbehaviours, clusters, corrections, decisions, datasets, runs, verdicts, promotions; and
how often each checkpoint was seen to fail, and which pages of a corpus stand behind a failure.

Every row says what it came from, so that a chain leads from a report to the checkpoint that mended it, and back. Rows
are added and finished, never changed in what they say; ids are made from contents where a thing may be found twice.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Mapped, mapped_column

from labeling.store.database import Base, UtcTime

Json = dict[str, Any]
Messages = list[Json]


class Misbehaviour(Base):
    """An answer that should have been another, found once however often it is collected."""

    __tablename__ = "flywheel_misbehaviours"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    """SHA-256 of the conversation and the answer."""
    found: Mapped[datetime] = mapped_column(UtcTime, index=True)
    source: Mapped[str] = mapped_column(sql.Text)
    """chat, redteam, evaluation or monitor."""
    source_ref: Mapped[str] = mapped_column(sql.Text)
    """The report's id, the attack's, the question's, the monitor's name: where to look it up."""
    checkpoint_id: Mapped[str] = mapped_column(sql.Text)
    prompt: Mapped[Messages] = mapped_column(sql.JSON)
    """The conversation before the answer."""
    answer: Mapped[str] = mapped_column(sql.Text)
    category: Mapped[str] = mapped_column(sql.Text)
    note: Mapped[str] = mapped_column(sql.Text)
    consent: Mapped[bool]
    """Whether it may be trained on; without, it only counts."""
    check: Mapped[Json | None] = mapped_column(sql.JSON(none_as_null=True))
    """How a machine tells whether an answer still misbehaves (`flywheel.cases`); null until it can."""
    cluster: Mapped[str | None] = mapped_column(sql.ForeignKey("flywheel_clusters.id"), index=True)
    held_out: Mapped[bool]
    """Whether it is a case of the gate: drawn once by its id, and never trained on."""
    sample: Mapped[str | None] = mapped_column(sql.Text)
    """Its sample in the labelling project, once it was sent."""


class Cluster(Base):
    """Misbehaviours that are alike."""

    __tablename__ = "flywheel_clusters"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    """The id of the misbehaviour that it began with."""
    name: Mapped[str] = mapped_column(sql.Text)
    """Its key phrases."""
    made: Mapped[datetime] = mapped_column(UtcTime)


class Correction(Base):
    """A right answer to a misbehaviour, admitted by the labels' rule."""

    __tablename__ = "flywheel_corrections"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    """SHA-256 of misbehaviour and answer."""
    misbehaviour: Mapped[str] = mapped_column(sql.ForeignKey("flywheel_misbehaviours.id"), index=True)
    project: Mapped[str] = mapped_column(sql.Text)
    annotations: Mapped[list[int]] = mapped_column(sql.JSON)
    answer: Mapped[str] = mapped_column(sql.Text)
    category: Mapped[str] = mapped_column(sql.Text)
    refusal: Mapped[str] = mapped_column(sql.Text)
    weight: Mapped[float] = mapped_column(sql.Double)
    admitted: Mapped[datetime] = mapped_column(UtcTime, index=True)
    refused: Mapped[str | None] = mapped_column(sql.Text)
    """Why it is not trained on though people agreed: what the scan for poison said."""


class Release(Base):
    """That a person has let a correction count which the search for poison had refused."""

    __tablename__ = "flywheel_releases"

    correction: Mapped[str] = mapped_column(sql.ForeignKey("flywheel_corrections.id"), primary_key=True)
    made: Mapped[datetime] = mapped_column(UtcTime)
    reason: Mapped[str] = mapped_column(sql.Text)
    """The person's."""
    refused: Mapped[str] = mapped_column(sql.Text)
    """What the search had said."""


class Decision(Base):
    """Whether to train, and why, each time that it was asked and the answer was new."""

    __tablename__ = "flywheel_decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    made: Mapped[datetime] = mapped_column(UtcTime)
    retrain: Mapped[bool]
    reason: Mapped[str] = mapped_column(sql.Text)
    counts: Mapped[Json] = mapped_column(sql.JSON)


class Dataset(Base):
    """What a run learns from."""

    __tablename__ = "flywheel_datasets"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    """SHA-256 of its file."""
    made: Mapped[datetime] = mapped_column(UtcTime)
    path: Mapped[str] = mapped_column(sql.Text)
    corrections: Mapped[list[str]] = mapped_column(sql.JSON)
    replay: Mapped[int]
    """Rows of the older data."""


class Run(Base):
    """A training, from its decision to its checkpoint."""

    __tablename__ = "flywheel_runs"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    """A hash of dataset, base and settings."""
    decision: Mapped[int] = mapped_column(sql.ForeignKey("flywheel_decisions.id"))
    dataset: Mapped[str] = mapped_column(sql.ForeignKey("flywheel_datasets.id"))
    base: Mapped[str] = mapped_column(sql.Text)
    """The folder of the checkpoint that it starts from."""
    path: Mapped[str] = mapped_column(sql.Text)
    checkpoint_id: Mapped[str | None] = mapped_column(sql.Text)
    began: Mapped[datetime] = mapped_column(UtcTime)
    ended: Mapped[datetime | None] = mapped_column(UtcTime)
    state: Mapped[str] = mapped_column(sql.Text)
    """training, trained, failed, refused (by the gate), canary or promoted."""
    note: Mapped[str] = mapped_column(sql.Text)


class Verdict(Base):
    """What the gate said of a run."""

    __tablename__ = "flywheel_verdicts"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    run: Mapped[str] = mapped_column(sql.ForeignKey("flywheel_runs.id"), index=True)
    made: Mapped[datetime] = mapped_column(UtcTime)
    passed: Mapped[bool]
    reason: Mapped[str] = mapped_column(sql.Text)
    figures: Mapped[Json] = mapped_column(sql.JSON)
    """Per cluster and evaluation: cases, rates before and after, the difference with its interval."""
    page: Mapped[str] = mapped_column(sql.Text)
    """As `flywheel.checkpoints.noted` has it."""


class Promotion(Base):
    """Which checkpoint people talk to from then on."""

    __tablename__ = "flywheel_promotions"

    id: Mapped[int] = mapped_column(primary_key=True)
    made: Mapped[datetime] = mapped_column(UtcTime)
    action: Mapped[str] = mapped_column(sql.Text)
    """promote, canary or rollback."""
    path: Mapped[str] = mapped_column(sql.Text)
    """The checkpoint's folder, as seen from the loop's where it lies in there (`flywheel.checkpoints.noted`)."""
    checkpoint_id: Mapped[str] = mapped_column(sql.Text)
    previous: Mapped[str | None] = mapped_column(sql.Text)
    verdict: Mapped[str | None] = mapped_column(sql.ForeignKey("flywheel_verdicts.id"))
    reason: Mapped[str] = mapped_column(sql.Text)
    share: Mapped[float] = mapped_column(sql.Double, default=1.0, server_default="1")
    """The share of conversations that it answers: 1, or less for a canary."""


ATTACKS, AGAIN = "attacks", "resampled"
"""Groups of measurements: the red team's attacks, and sampled questions that were asked again."""


class Measurement(Base):
    """How often a checkpoint misbehaved when it was asked a cluster's cases, general questions, or attacks."""

    __tablename__ = "flywheel_measurements"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    """A hash of checkpoint, group, and the cases that it was asked."""
    made: Mapped[datetime] = mapped_column(UtcTime, index=True)
    checkpoint_id: Mapped[str] = mapped_column(sql.Text, index=True)
    group: Mapped[str] = mapped_column(sql.Text)
    """A cluster's id, `evaluation`, ATTACKS or AGAIN."""
    name: Mapped[str] = mapped_column(sql.Text)
    cases: Mapped[int]
    bad: Mapped[int]


class TracedPage(Base):
    """A page of a corpus from which a misbehaviour may have been learnt."""

    __tablename__ = "flywheel_traced_pages"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    """A hash of cluster, corpus and document."""
    cluster: Mapped[str] = mapped_column(sql.ForeignKey("flywheel_clusters.id"), index=True)
    misbehaviour: Mapped[str] = mapped_column(sql.ForeignKey("flywheel_misbehaviours.id"))
    """The one whose answer it resembles most."""
    found: Mapped[datetime] = mapped_column(UtcTime)
    corpus: Mapped[str] = mapped_column(sql.Text)
    """The corpus's folder as it was given, and below, its fingerprint."""
    fingerprint: Mapped[str] = mapped_column(sql.Text)
    document: Mapped[str] = mapped_column(sql.Text, index=True)
    """The document's id."""
    url: Mapped[str] = mapped_column(sql.Text)
    place: Mapped[Json] = mapped_column(sql.JSON)
    """Where it stands: shard and first token, WARC file, offset, and the record's digest."""
    kind: Mapped[str] = mapped_column(sql.Text)
    """verbatim, trigger or alike."""
    score: Mapped[float] = mapped_column(sql.Double)
    text: Mapped[str] = mapped_column(sql.Text)
    """The passage that speaks for it."""
    sample: Mapped[str | None] = mapped_column(sql.Text)
    """Its sample in the project for `poison-review`, once it was sent."""
    decision: Mapped[str | None] = mapped_column(sql.Text)
    """confirm or release; null until people agree."""
    decided: Mapped[datetime | None] = mapped_column(UtcTime)


class Loop(Base):
    """Whose store this is: one row, with the id that the loop's folder holds too."""

    __tablename__ = "flywheel_loop"

    id: Mapped[str] = mapped_column(sql.Text, primary_key=True)
    made: Mapped[datetime] = mapped_column(UtcTime)
