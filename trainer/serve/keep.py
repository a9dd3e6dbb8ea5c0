"""What people say about answers, on its way into the store; nothing is acknowledged before it is on the disk."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from labeling.ratings import INSUFFICIENT, games, rate
from labeling.store.database import Database
from labeling.store.reports import (
    Answer,
    Comparison,
    Report,
    add_comparison,
    add_report,
    comparisons,
    mask_comparison,
    mask_report,
)
from trainer.conversation import Message, check, to_json
from trainer.sampling import Sampling
from trainer.serve.arena import Match
from trainer.serve.schema import ArenaChoice, ChatMessage, ComparisonBody, ReportBody, SamplingNote
from trainer.turn import Limits


@dataclasses.dataclass(frozen=True)
class Keeper:
    """Writes into one store. Methods block until the row is durable: call them in a thread.

    Each raises StoreBusyError or StoreError where it is not, and ConversationError for messages that are none.
    """

    database: Database

    def report(self, body: ReportBody, checkpoint: str) -> str:
        report = Report(
            checkpoint_id=checkpoint,
            messages=_json([message.message() for message in body.messages]),
            category=body.category,
            description=body.description,
            wished_answer=body.wished_answer or None,
            rating=body.rating,
            consent=body.consent,
            source="page",
            sampling=_sampling(body.sampling),
            id=body.id,
        )
        add_report(self.database, mask_report(report) if body.mask else report)
        return report.id

    def compare(self, body: ComparisonBody, checkpoint_a: str, checkpoint_b: str) -> str:
        comparison = Comparison(
            prompt=_json(_messages(body.messages)),
            a=Answer(body.a.text, checkpoint_a, _sampling(body.a.sampling)),
            b=Answer(body.b.text, checkpoint_b, _sampling(body.b.sampling)),
            choice=body.choice,
            session=body.session,
            consent=body.consent,
            id=body.id,
        )
        add_comparison(self.database, mask_comparison(comparison) if body.mask else comparison)
        return comparison.id

    def arena(self, match: Match, body: ArenaChoice) -> str:
        """A match is chosen once: its id is the comparison's, so a second choice changes nothing."""
        sampling = _sampling_of(match.sampling, match.limits)
        comparison = Comparison(
            prompt=_json(match.messages),
            a=Answer(match.texts[0], match.checkpoints[0], sampling),
            b=Answer(match.texts[1], match.checkpoints[1], sampling),
            choice=body.choice,
            session=body.session,
            arena=True,
            consent=body.consent,
            id=match.id,
        )
        add_comparison(self.database, mask_comparison(comparison) if body.mask else comparison)
        return comparison.id

    def ratings(self, names: Mapping[str, str]) -> dict[str, Any]:
        """The arena's ratings; checkpoints that are not served now are named by the beginning of their id."""
        played = games(comparisons(self.database, arena=True))
        found = rate(played)
        rows = [
            {
                "checkpoint": row.model,
                "name": names.get(row.model, row.model[:12]),
                "rating": row.rating,
                "low": row.low,
                "high": row.high,
                "matches": row.games,
            }
            for row in found.table
        ]
        best = [row.model for row in found.table[:2]]
        verdict = str(found.compare(best[0], best[1])) if len(best) > 1 else INSUFFICIENT
        for checkpoint in best:
            verdict = verdict.replace(checkpoint, names.get(checkpoint, checkpoint[:12]))
        return {"matches": len(played), "ratings": rows, "verdict": verdict}


def _messages(messages: Sequence[ChatMessage]) -> list[Message]:
    return [message.message() for message in messages]


def _json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    check(messages)
    return to_json(messages)


def _sampling(note: SamplingNote) -> dict[str, Any]:
    return note.model_dump(exclude_none=True)


def _sampling_of(sampling: Sampling, limits: Limits) -> dict[str, Any]:
    return {**dataclasses.asdict(sampling), "max_tokens": limits.max_tokens}
