"""The distribution of every measure of the filter, with the recipe's thresholds: one look at a sample, one at all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.data import Measured, Threshold
from pipeline.report.histogram import Bins, Kind, Values, plan_bins
from pipeline.report.tables import Corpus
from pipeline.stage import Rule

SAMPLE = 1 << 16
"""Documents from which the bins are planned; their counts come from all documents."""

Flags = npt.NDArray[np.bool_]


def measured_columns(schema: pa.Schema) -> dict[str, Kind]:
    """The measures among a table's columns, "<block>.<column>", and what kind of values they have."""
    kinds: dict[str, Kind] = {}
    for field in schema:
        if "." not in field.name:
            continue
        if pa.types.is_boolean(field.type):
            kinds[field.name] = "boolean"
        elif pa.types.is_integer(field.type):
            kinds[field.name] = "integer"
        elif pa.types.is_floating(field.type):
            kinds[field.name] = "real"
    return kinds


def as_values(column: pa.Array) -> Values:
    """A column as floats, NaN for null. (A float holds every integer below 2**53 exactly.)"""
    values: Values = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return values


def read_measures(corpus: Corpus) -> tuple[Measured, ...]:
    """Every measure's distribution over what the filter kept and removed, in the order of the columns."""
    columns = measured_columns(corpus.schema("filter", "documents"))
    bins = _plan(corpus, columns)
    counts = {name: {kind: np.zeros(len(bins[name]) + 2, np.int64) for kind in _KINDS} for name in columns}
    unmeasured = dict.fromkeys(columns, 0)
    tally = Tally(corpus.rules)
    for kind in _KINDS:
        for _, batch in corpus.batches("filter", kind, list(columns)):
            for name in columns:
                values = as_values(batch.column(name))
                counts[name][kind] += bins[name].count(values)
                unmeasured[name] += int(np.isnan(values).sum())
            tally.add(batch)
    return tuple(
        Measured(
            block=name.partition(".")[0],
            column=name.partition(".")[2],
            documents=corpus.rows("filter", "documents") + corpus.rows("filter", "removed"),
            bins=bins[name],
            kept=tuple(counts[name]["documents"].tolist()),
            removed=tuple(counts[name]["removed"].tolist()),
            unmeasured=unmeasured[name],
            thresholds=tally.thresholds(name),
        )
        for name in columns
    )


_KINDS = ("documents", "removed")


def _plan(corpus: Corpus, columns: dict[str, Kind]) -> dict[str, Bins]:
    rows = sum(corpus.rows("filter", kind) for kind in _KINDS)
    stride = max(1, -(-rows // SAMPLE))
    sampled: dict[str, list[Values]] = {name: [np.empty(0)] for name in columns}
    for kind in _KINDS:
        for _, batch in corpus.batches("filter", kind, list(columns), stride):
            for name in columns:
                sampled[name].append(as_values(batch.column(name)))
    return {
        name: plan_bins(np.concatenate(sampled[name]), kind, _marks(corpus.rules, name))
        for name, kind in columns.items()
    }


def _marks(rules: Sequence[tuple[str, Rule]], name: str) -> list[float]:
    bounds = [bound for block, rule in rules for bound in (rule.minimum, rule.maximum) if _reads(block, rule) == name]
    return [float(bound) for bound in bounds if bound is not None]


def _reads(block: str, rule: Rule) -> str:
    return f"{block}.{rule.column}"


class Tally:
    """Counts for every rule the documents that break it, and those that no earlier rule had removed."""

    def __init__(self, rules: Sequence[tuple[str, Rule]]) -> None:
        self.rules = rules
        self.fail = [0] * len(rules)
        self.removed = [0] * len(rules)

    def add(self, batch: pa.RecordBatch) -> None:
        decided = np.zeros(batch.num_rows, np.bool_)
        for number, (block, rule) in enumerate(self.rules):
            fails = broken(rule, batch.column(_reads(block, rule)))
            self.fail[number] += int(fails.sum())
            self.removed[number] += int((fails & ~decided).sum())
            decided |= fails

    def thresholds(self, name: str) -> tuple[Threshold, ...]:
        """The rules on one column."""
        return tuple(
            Threshold(rule.reason, rule.minimum, rule.maximum, rule.exclusive, self.fail[number], self.removed[number])
            for number, (block, rule) in enumerate(self.rules)
            if _reads(block, rule) == name
        )


def broken(rule: Rule, values: pa.Array) -> Flags:
    """Which documents do not pass a rule; a null measure is no pass."""
    flags: Flags = pc.fill_null(pc.invert(rule.passes(values)), True).to_numpy(zero_copy_only=False)
    return flags


def first_broken(rules: Sequence[tuple[str, Rule]], row: dict[str, pa.Array]) -> tuple[str, Rule] | None:
    """The rule that removed a document, given its measures (arrays of one value)."""
    for block, rule in rules:
        if broken(rule, row[_reads(block, rule)])[0]:
            return block, rule
    return None
