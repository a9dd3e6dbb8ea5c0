"""The three contracts of filtering: measure, judge, edit. Measuring is split from judging.

So thresholds change without measuring again, and a report can draw each threshold on its distribution.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pipeline.filter.text import TextBatch

UNMEASURED = "unmeasured"
"""The reason of a document whose measure is null: what could not be measured is never a pass."""


@dataclass(frozen=True)
class Rule:
    """One threshold: keep a document while `minimum` <= its measure <= `maximum` (either may be absent).

    `column` names a measured column without its block; `exclusive` makes the bounds strict (`<` for `<=`).
    A boolean measure counts as 0 or 1.
    """

    reason: str
    column: str
    minimum: float | None = None
    maximum: float | None = None
    exclusive: bool = False

    def passes(self, values: pa.Array) -> pa.Array:
        """Booleans, null where the measure is null."""
        at_least, at_most = (pc.greater, pc.less) if self.exclusive else (pc.greater_equal, pc.less_equal)
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.uint8())
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        verdict = pc.if_else(pc.is_null(values), None, True)
        if self.minimum is not None:
            verdict = pc.and_kleene(verdict, at_least(values, self.minimum))
        if self.maximum is not None:
            verdict = pc.and_kleene(verdict, at_most(values, self.maximum))
        return verdict


def judge(batch: pa.RecordBatch, rules: Iterable[Rule], prefix: str = "") -> pa.Array:
    """The first rule that each document breaks, by its reason; null = keep.

    Reads the columns `prefix + rule.column`.
    """
    verdict = pa.nulls(batch.num_rows, pa.string())
    for rule in rules:
        passes = rule.passes(batch.column(prefix + rule.column))
        reason = pc.if_else(passes, pa.scalar(None, pa.string()), pa.scalar(rule.reason))
        reason = pc.if_else(pc.is_null(passes), pa.scalar(UNMEASURED), reason)
        verdict = pc.coalesce(verdict, reason)
    return verdict


class Block(Protocol):
    """A family of rules from one publication, as the recipe names it: it may edit, it measures, it judges.

    Implementations are frozen dataclasses whose fields are the recipe's keys.
    """

    def edit(self, texts: "TextBatch") -> tuple[pa.Array, pa.Array, dict[str, pa.Array]] | None:
        """(edited texts, cut spans, columns counted on the way), or None where the block does not edit. Pure."""

    def measure(self, texts: "TextBatch") -> dict[str, pa.Array]:
        """Columns of one value a document, measured on the edited texts. Pure; reads no threshold."""

    def rules(self) -> tuple[Rule, ...]:
        """The thresholds, in the order in which they are tried."""

    def measuring(self) -> dict[str, object]:
        """The parameters that edit() and measure() read: when one changes, documents are measured again."""
