"""What a report shows, as plain data: made by gather.py, drawn by page.py."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.report.histogram import Bins


@dataclass(frozen=True)
class Stage:
    """How many documents are left after a step, and where the others went (removed, held, quarantined)."""

    name: str
    note: str
    documents: int
    lost: Mapping[str, int]
    text_bytes: int | None = None
    """UTF-8 bytes of the documents' texts, to about 1% (as the Parquet files' footers have it)."""
    tokens: int | None = None


@dataclass(frozen=True)
class Example:
    """A removed page: where it came from, how its text begins, what spoke against it."""

    url: str
    excerpt: str
    detail: str = ""
    """The measure that broke the rule, with its value."""
    twin: str | None = None
    """The URL of the copy that was kept."""
    similarity: float | None = None


@dataclass(frozen=True)
class Reason:
    """Why a step removed documents: the word, what it means, how many, and a few of them."""

    word: str
    meaning: str
    documents: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Removal:
    """What one step removed of what it read. The commonest reason is first."""

    step: str
    read: int
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Pointed:
    """What a poison rule points at in one page, with the text around it, all made visible."""

    id: str
    url: str
    before: str
    span: str
    behind: str
    evidence: str
    score: float
    hosts: int | None = None
    """How many owners of sites share it, where that was counted."""


@dataclass(frozen=True)
class PoisonFound:
    """What one poison rule found: how often, in how many documents of how many owners of sites, with examples.

    `outcome` is the most severe one; `done` counts places by (outcome, what became of the page: kept, held, removed).
    """

    rule: str
    meaning: str
    outcome: str
    findings: int
    documents: int
    owners: int
    examples: tuple[Pointed, ...]
    done: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Poison:
    """What the poison step read and what became of it. `stripped` and `tagged` documents were kept."""

    read: int
    stripped: int
    tagged: int
    held: int
    removed: int
    hidden_documents: int
    hidden_chars: int
    found: tuple[PoisonFound, ...]


@dataclass(frozen=True)
class Unreadable:
    """A record in quarantine."""

    step: str
    warc_file: str
    offset: int
    url: str | None
    reason: str
    error: str


@dataclass(frozen=True)
class Quarantine:
    """The records that could not be read: how many, why, and the first of them."""

    records: int
    reasons: Mapping[str, int]
    first: tuple[Unreadable, ...]


@dataclass(frozen=True)
class Threshold:
    """A rule of the recipe on a measure: how many documents break it, and how many it was the first to remove."""

    reason: str
    minimum: float | None
    maximum: float | None
    exclusive: bool
    fail: int
    removed: int


@dataclass(frozen=True)
class Measured:
    """The distribution of one measure over the documents that the filter read.

    `kept` and `removed` count [below, the bins..., above]; `unmeasured` documents had no value.
    """

    block: str
    column: str
    documents: int
    bins: Bins
    kept: tuple[int, ...]
    removed: tuple[int, ...]
    unmeasured: int
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True)
class Group:
    """A language or a host: how many documents were read of it, and how many were kept."""

    name: str
    read: int
    kept: int


@dataclass(frozen=True)
class Groups:
    """The most frequent groups, and what all the others have together."""

    top: tuple[Group, ...]
    number: int
    others: Group


@dataclass(frozen=True)
class Member:
    """A removed copy."""

    url: str
    reason: str
    similarity: float | None


@dataclass(frozen=True)
class Cluster:
    """A document and its removed copies, of which a few are named."""

    size: int
    kept: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Duplicates:
    """Clusters of copies: `sizes` are (label, clusters, copies removed), the smallest clusters first."""

    clusters: int
    copies: int
    sizes: tuple[tuple[str, int, int], ...]
    largest: tuple[Cluster, ...]
    settings: str


@dataclass(frozen=True)
class Shard:
    """A file of tokens."""

    name: str
    split: str
    documents: int
    tokens: int
    text_bytes: int
    sha256: str


@dataclass(frozen=True)
class Tokens:
    """The shards, the vocabulary, and the distribution of documents' lengths in tokens."""

    shards: tuple[Shard, ...]
    vocabulary: Mapping[str, object]
    lengths: Measured | None
    median: int


@dataclass(frozen=True)
class Curve:
    """A training's log: steps with their loss (nats a token), and those at which the held-out loss was taken."""

    steps: tuple[int, ...]
    loss: tuple[float, ...]
    validation_steps: tuple[int, ...]
    validation_loss: tuple[float, ...]
    bits_per_byte: float | None
    """Of the step with the lowest validation loss."""
    tokens_per_second: float | None
    elsewhere: str = ""
    """Says so where the training was on another corpus."""


@dataclass(frozen=True)
class Source:
    """An input file."""

    warc_file: str
    bytes: int
    records: int
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """What the corpus was made from, and with what."""

    fingerprint: str
    versions: Mapping[str, str]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    name: str
    description: str
    funnel: tuple[Stage, ...]
    ignored: int
    removals: tuple[Removal, ...]
    poison: Poison | None
    quarantine: Quarantine
    measures: tuple[Measured, ...]
    languages: Groups
    hosts: Groups
    duplicates: Duplicates
    tokens: Tokens
    curve: Curve | None
    provenance: Provenance
