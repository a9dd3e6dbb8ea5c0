"""What people say about answers, on its way into the store; nothing is acknowledged before it is on the disk."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from labeling.ratings import INSUFFICIENT, Ratings, games, rate
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
    newest_comparison,
)
from trainer.sampling import Sampling
from trainer.talk.conversation import Message, check, to_json
from trainer.talk.serve.arena import Match
from trainer.talk.serve.schema import AnswerNote, ArenaChoice, ChatMessage, ComparisonBody, ReportBody, SamplingNote
from trainer.talk.turn import Limits


@dataclasses.dataclass
class _Rated:
    """The arena's ratings, reckoned anew only when a comparison has been added: with 5,000 of them it takes 0.7 s."""

    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    newest: object = None
    result: tuple[int, Ratings] | None = None

    def __call__(self, database: Database) -> tuple[int, Ratings]:
        """How many games were played, and the ratings from them."""
        with self.lock:  # of many who ask at once, one reckons and the others wait for it
            newest = newest_comparison(database)  # before the rows: what comes in between is seen next time
            if self.result is None or newest != self.newest:
                played = games(comparisons(database, arena=True))
                self.result, self.newest = (len(played), rate(played)), newest
            return self.result


@dataclasses.dataclass(frozen=True)
class Keeper:
    """Writes into one store. Methods block until the row is durable: call them in a thread.

    Each raises StoreBusyError or StoreError where it is not, ConversationError for messages that are none, and another
    ValueError for what the store refuses.
    """

    database: Database
    _rated: _Rated = dataclasses.field(default_factory=_Rated, init=False, repr=False, compare=False)

    def report(self, body: ReportBody, checkpoint: str) -> str:
        report = Report(
            checkpoint_id=checkpoint,
            messages=_json(_messages(body.messages)),
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
        prompt = _messages(body.messages)
        comparison = Comparison(
            prompt=_json(prompt),
            a=_noted(prompt, body.a, checkpoint_a),
            b=_noted(prompt, body.b, checkpoint_b),
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
            a=_answer(match.said[0], match.checkpoints[0], sampling),
            b=_answer(match.said[1], match.checkpoints[1], sampling),
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
        played, found = self._rated(self.database)
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
        return {"matches": played, "ratings": rows, "verdict": verdict}


def _messages(messages: Sequence[ChatMessage]) -> list[Message]:
    return [message.message() for message in messages]


def _noted(prompt: Sequence[Message], note: AnswerNote, checkpoint: str) -> Answer:
    said = _messages(note.messages) or [Message("assistant", note.text)]
    check([*prompt, *said])
    return _answer(said, checkpoint, _sampling(note.sampling))


def _answer(said: Sequence[Message], checkpoint: str, sampling: dict[str, Any]) -> Answer:
    """An answer with what it said last as its text, and with all its messages where they are more than that."""
    if said[-1].role != "assistant":  # the context was full with a tool's result
        said = [*said, Message("assistant", "")]
    plain = len(said) == 1 and not said[0].calls
    return Answer(said[-1].content, checkpoint, sampling, [] if plain else to_json(said))


def _json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    check(messages)
    return to_json(messages)


def _sampling(note: SamplingNote) -> dict[str, Any]:
    return note.model_dump(exclude_none=True)


def _sampling_of(sampling: Sampling, limits: Limits) -> dict[str, Any]:
    return {**dataclasses.asdict(sampling), "max_tokens": limits.max_tokens}
