"""How documents of all parts meet: packed keys, dealt into partitions, and what each partition shows, gathered.

inspected parts ─┬─▶ copies by band key ──▶ floods, bursts ──────┐
                 ├─▶ visits by owner ─────▶ bursts, changes ─────┼─▶ shared
                 └─▶ phrases by hash ─────▶ campaigns ───────────┘
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.artifact import Part, read_batches
from pipeline.dedup.shingles import fmix64
from pipeline.poison.campaigns import Campaigns, find_campaigns
from pipeline.poison.dates import Turns, Visits, find_turns
from pipeline.poison.floods import Copies, Spread, find_floods
from pipeline.poison.phrases import Counts, Keys
from pipeline.poison.shared import Shared
from pipeline.shuffle import PARTITIONS, partition_of

Dealt = tuple[int, pa.RecordBatch]


@dataclass
class FindShared(beam.PTransform):
    """Inspected parts -> one Shared."""

    def expand(self, inspected: beam.PCollection[Part]) -> beam.PCollection[Shared]:
        counts = (
            inspected
            | "Count phrases" >> beam.Map(phrase_counts)
            | "Gather counts" >> beam.combiners.ToList()
            | "Sum counts" >> beam.Map(Counts.sum)
        )
        spread = (
            inspected
            | "Key copies" >> beam.ParDo(Deal("copies", "keys"))
            | "Meet by band" >> beam.GroupByKey()
            | "Find floods" >> beam.Map(_floods)
        )
        turns = (
            inspected
            | "Key visits" >> beam.ParDo(Deal("visits", "owners"))
            | "Meet by owner" >> beam.GroupByKey()
            | "Find turns" >> beam.Map(_turns)
        )
        campaigns = (
            inspected
            | "Key phrases" >> beam.ParDo(Deal("phrases", "feature"))
            | "Meet by phrase" >> beam.GroupByKey()
            | "Find campaigns" >> beam.Map(_campaigns, beam.pvalue.AsSingleton(counts))
        )
        return (
            (spread, turns, campaigns)
            | "Together" >> beam.Flatten()
            | "Gather what is shared" >> beam.combiners.ToList()
            | "Share" >> beam.Map(_share)
        )


class Deal(beam.DoFn):
    """An inspected part -> (partition, rows) of one of its tables of keys, by a 64-bit column."""

    def __init__(self, table: str, column: str) -> None:
        self.table, self.column = table, column

    def process(self, part: Part) -> Iterator[Dealt]:
        batches = list(read_batches(part.path(self.table)))
        if not batches:
            return
        rows = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
        # Hashes of names are not uniform in their high bits, as those of contents are.
        partition = partition_of(fmix64(rows.column(self.column).to_numpy()))
        order = np.argsort(partition, kind="stable")
        bounds = np.searchsorted(partition[order], np.arange(PARTITIONS + 1))
        for number in range(PARTITIONS):
            chosen = order[bounds[number] : bounds[number + 1]]
            if len(chosen):
                yield number, rows.take(pa.array(chosen))


def phrase_counts(part: Part) -> Counts:
    """What a part's documents were counted for, which the test of every phrase needs of the whole corpus."""
    return Counts(**part.extra["phrases"])


def _floods(group: tuple[int, Iterable[pa.RecordBatch]]) -> Spread:
    return find_floods(Copies.concatenate(map(Copies.of, group[1])))


def _turns(group: tuple[int, Iterable[pa.RecordBatch]]) -> Turns:
    return find_turns(Visits.concatenate(map(Visits.of, group[1])))


def _campaigns(group: tuple[int, Iterable[pa.RecordBatch]], counts: Counts) -> Campaigns:
    return find_campaigns(Keys.concatenate(map(Keys.of, group[1])), counts)


def _share(found: list[Any]) -> Shared:
    """In an order that no runner decides: each kind sorts its own."""
    return Shared(
        Spread.merge([one for one in found if isinstance(one, Spread)]),
        Turns.merge([one for one in found if isinstance(one, Turns)]),
        Campaigns.merge([one for one in found if isinstance(one, Campaigns)]),
    )
