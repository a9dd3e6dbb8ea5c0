"""From fates to figures: recall with its interval, clean documents lost per million, what a step costs."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.poison.arms import Arm, Clean
from benchmarks.poison.clean import about_security
from benchmarks.poison.outcome import CAUGHT, EXPOSED, Verdict, fates, found_by_repetition, judge, rows
from benchmarks.poison.plant import Truth, read_truth, remains
from pipeline.artifact import read_json

CARRIERS = 0.95
"""A campaign counts as found where this share of its carriers was caught."""


def wilson(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% score interval of a share (Wilson 1927); (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, z * z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Judged:
    """A planted document, its verdict, whether the quality filters alone keep it, and the rules that point at it."""

    truth: Truth
    verdict: Verdict
    kept_by_quality: bool
    rules: tuple[str, ...]
    noticed: bool


def judge_arm(arm: Arm) -> list[Judged]:
    """Every planted document of an arm. `noticed`: for hidden text, whether it is in the column of hidden text."""
    found = fates(arm.folder / "corpus")
    kept = {row["url"] for row in rows(arm.folder / "quality", "filter", "documents", ["url"])}
    judged = []
    for truth in read_truth(arm.folder):
        fate = found.get(truth.url)
        before = fate is not None and remains(fate.before, truth.needles)
        after = fate is not None and remains(fate.text, truth.needles)
        verdict = judge(fate, before, after, truth.leaks)
        if not truth.campaign and verdict in CAUGHT and fate is not None and found_by_repetition(fate):
            verdict = "repeated"
        noticed = fate is not None and remains(fate.hidden, truth.needles)
        judged.append(Judged(truth, verdict, truth.url in kept, tuple(sorted(fate.rules if fate else ())), noticed))
    return judged


@dataclass
class Recall:
    """Counts of one row of a table. Recall is a share of the exposed: those whose payload the poison step saw."""

    verdicts: Counter[str] = field(default_factory=Counter)
    kept_exposed: int = 0
    kept_caught: int = 0
    leaks: int = 0
    leaks_caught: int = 0
    noticed: int = 0
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, judged: Judged) -> None:
        """Count one document."""
        self.verdicts[judged.verdict] += 1
        self.rules.update(judged.rules)
        self.noticed += judged.noticed
        caught = judged.verdict in CAUGHT
        if judged.kept_by_quality and judged.verdict in EXPOSED:
            self.kept_exposed += 1
            self.kept_caught += caught
        if judged.truth.leaks:
            self.leaks += 1
            self.leaks_caught += caught

    @property
    def planted(self) -> int:
        """All documents."""
        return self.verdicts.total()

    @property
    def exposed(self) -> int:
        """Documents whose payload reached the poison step."""
        return sum(self.verdicts[verdict] for verdict in EXPOSED)

    @property
    def caught(self) -> int:
        """Of these, the ones that don't carry it on."""
        return sum(self.verdicts[verdict] for verdict in CAUGHT)

    def as_json(self) -> dict[str, Any]:
        """The counts, recall and its interval."""
        low, high = wilson(self.caught, self.exposed)
        kept_low, kept_high = wilson(self.kept_caught, self.kept_exposed)
        return {
            "planted": self.planted, "exposed": self.exposed, "caught": self.caught,
            "recall": self.caught / self.exposed if self.exposed else None, "recall_95": [low, high],
            "kept_by_quality": self.kept_exposed, "kept_by_quality_caught": self.kept_caught,
            "gain_95": [kept_low, kept_high], "verdicts": dict(sorted(self.verdicts.items())),
            "leaks_with_trafilatura_alone": self.leaks, "leaks_caught": self.leaks_caught, "noticed": self.noticed,
            "rules": dict(self.rules.most_common()),
        }  # fmt: skip


Key = tuple[str, ...]


def recall_by(judged: Iterable[Judged], *names: str) -> dict[Key, Recall]:
    """Counts by fields of the truth, in order of the keys."""
    found: dict[Key, Recall] = {}
    for one in judged:
        key = tuple(str(getattr(one.truth, name)) for name in names)
        found.setdefault(key, Recall()).add(one)
    return dict(sorted(found.items()))


def campaigns_found(judged: Iterable[Judged]) -> dict[tuple[str, int], tuple[int, int]]:
    """(family, documents) -> (campaigns of which CARRIERS of the exposed documents were caught, campaigns)."""
    each = recall_by(judged, "family", "source", "documents")
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for (family, _, documents), recall in each.items():
        if recall.exposed:
            hits, all_of_them = found.get((family, int(documents)), (0, 0))
            whole = recall.caught >= CARRIERS * recall.exposed
            found[family, int(documents)] = (hits + whole, all_of_them + 1)
    return found


@dataclass
class Losses:
    """Clean documents that reached the poison step, and what became of them. By outcome, and by (rule, outcome)."""

    documents: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)


def per_million(hits: int, documents: int) -> tuple[float, float]:
    """(documents per million, the upper end of the 95% interval per million)."""
    return 1e6 * hits / documents if documents else 0.0, 1e6 * wilson(hits, documents)[1]


def losses(clean: Clean) -> dict[Key, Losses]:
    """("set", name), ("language", code), ("all",) and ("set", "security") -> losses over all clean runs."""
    found: dict[Key, Losses] = {}
    for corpus in clean.corpora.values():
        rules: dict[int, dict[str, str]] = {}
        for row in rows(corpus, "poison", "findings", ["address", "rule", "outcome"]):
            rules.setdefault(row["address"], {})[row["rule"]] = row["outcome"]
        gone = {
            row["address"]: stage for stage in ("removed", "held") for row in rows(corpus, "poison", stage, ["address"])
        }
        for row in rows(corpus, "filter", "documents", ["address", "warc_file", "language", "text", "url"]):
            keys: list[Key] = [("all",), ("set", row["warc_file"].removesuffix(".warc.gz"))]
            keys.append(("language", row["language"] or "?"))
            if row["warc_file"] in ("crawl.warc.gz", "documentation.warc.gz") and about_security(row["text"]):
                keys.append(("set", "about security"))
            _count(found, keys, rules.get(row["address"], {}), gone.get(row["address"]), row["url"])
    return dict(sorted(found.items()))


def _count(found: dict[Key, Losses], keys: Sequence[Key], rules: Mapping[str, str], gone: str | None, url: str) -> None:
    outcome = gone or ("stripped" if "strip" in rules.values() else "tagged" if rules else "untouched")
    for key in keys:
        entry = found.setdefault(key, Losses())
        entry.documents += 1
        entry.outcomes[outcome] += 1
        entry.rules.update(rules.items())
        if outcome != "untouched":
            for rule in rules:
                entry.examples.setdefault(rule, []).append(url)


@dataclass(frozen=True)
class Cost:
    """A step's: documents read, core-seconds, bytes that its parts recorded as shuffled."""

    step: str
    documents: int
    core_seconds: float
    shuffled: int


def costs(corpus: Path) -> list[Cost]:
    """Each step's cost, by its parts' markers."""
    found = []
    for folder in sorted(path for path in corpus.iterdir() if (path / "parts").is_dir()):
        parts = [read_json(str(path)) for path in sorted((folder / "parts").glob("*.json"))]
        documents = sum(part["counts"].get("read", 0) for part in parts)
        seconds = sum(part["cost"].get("core_seconds", 0.0) for part in parts)
        found.append(
            Cost(folder.name, documents, seconds, sum(part["extra"].get("shuffle_bytes", 0) for part in parts))
        )
    return found
