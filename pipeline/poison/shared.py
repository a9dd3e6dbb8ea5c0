"""What the corpus as a whole shows, and which documents of a batch it points at."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from pipeline.artifact import digest
from pipeline.filter.text import TextBatch
from pipeline.poison.campaigns import NO_CAMPAIGNS, Campaigns
from pipeline.poison.campaigns_carriers import Owners, carriers
from pipeline.poison.dates import NO_TURNS, Turns
from pipeline.poison.finding import Findings
from pipeline.poison.floods import NO_SPREAD, Spread, days
from pipeline.poison.text_model import TextModel
from pipeline.registrant import owner_hashes


@dataclass(frozen=True)
class Shared:
    """Floods and bursts by address, turns by owner and day, campaigns by phrase."""

    spread: Spread = NO_SPREAD
    turns: Turns = NO_TURNS
    campaigns: Campaigns = NO_CAMPAIGNS

    @cached_property
    def content(self) -> str:
        """A digest, for fingerprints."""
        return digest([self.spread.content, self.turns.content, self.campaigns.content])


def point(shared: Shared, batch: pa.RecordBatch, model: Callable[[], TextModel], findings: Findings) -> Owners:
    """Add what the corpus shows about a batch's documents to the findings; `model` is asked for where it is needed.

    Returns how many owners of sites share a finding, where that was counted.
    """
    owners: Owners = {}
    addresses, spread = batch.column("address").to_numpy(), shared.spread
    first, stop = np.searchsorted(spread.addresses, [addresses[0], addresses[-1] + np.uint64(1)])
    for place in range(int(first), int(stop)):
        row = int(np.searchsorted(addresses, spread.addresses[place]))
        if row < len(addresses) and addresses[row] == spread.addresses[place]:
            rule, count = spread.rules[place], int(spread.owners[place])
            findings.add(row, rule, 0, 0, count, spread.evidence[place])
            owners[row, rule, 0] = count
    if len(shared.turns.owners):
        hosts = owner_hashes(batch.column("host"))
        for row, rule, says in shared.turns.of(hosts, days(batch.column("date"))):
            findings.add(row, rule, 0, 0, 1.0, says)
    if len(shared.campaigns):
        found, sharing = carriers(TextBatch(batch.column("text")), model(), shared.campaigns)
        findings.extend(found.rows)
        owners |= sharing
    return owners
