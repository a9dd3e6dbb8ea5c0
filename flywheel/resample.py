"""Sampled questions that the current checkpoint is asked again: where its answers contradict each other it is guessing.

As in Manakul et al. 2023, "SelfCheckGPT", at the temperature at which people are answered. What is found is left in
RESAMPLED, where `flywheel.collect` finds it; what stands there is not asked again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from flywheel.cases import leaked, misbehaviour_id
from flywheel.config import Config
from flywheel.monitors import contradiction
from flywheel.sampled import RESAMPLED, Exchange, files, read
from labeling.masking import mask, mask_json
from labeling.rows import Rejected
from trainer.checkpoint import write_whole

ANSWERS = 4
"""Further answers to a question: with its own, two stands may have two answers each (`monitors.AGREE`), and a third."""

WITHIN = timedelta(days=1)
"""How old a question may be, seen from the newest one of the sample: each night has the questions of its day."""

KEPT = 1000
"""Rows of RESAMPLED that stay, the newest."""

Ask = Callable[[Sequence[Exchange]], Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Again:
    """Questions that were asked again, now or before: each with its answers, or without where it fits no context."""

    id: str
    """Of these questions, and this checkpoint."""
    asked: tuple[Exchange, ...]

    @property
    def answered(self) -> list[Exchange]:
        return [one for one in self.asked if one.resamples]

    @property
    def contradicted(self) -> int:
        return sum(bool(contradiction([one.answer, *one.resamples])) for one in self.answered)


def resample(config: Config, checkpoint: str, ask: Ask) -> Again | None:
    """Asks the checkpoint `collect: resampled` of its newest sampled questions again; None where there is none.

    `ask` gives ANSWERS answers to each. Whatever stops it, the same call comes to the same rows.
    """
    drawn = draw(config, checkpoint)
    if not drawn:
        return None
    path = config.folder / RESAMPLED
    known = {_key(one): one for one in _known(path)}
    new = [one for one in drawn if _key(one) not in known]
    if new:
        said = [tuple(map(mask, answers)) for answers in ask(new)]
        known |= {_key(one): replace(one, resamples=answers) for one, answers in zip(new, said, strict=True)}
        rows = [_row(one) for one in list(known.values())[-max(KEPT, len(drawn)) :]]
        write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), private=True)
    keys = [_key(one) for one in drawn]
    id = hashlib.sha256(json.dumps([checkpoint, sorted(keys)]).encode()).hexdigest()
    return Again(id, tuple(known[key] for key in keys))


def draw(config: Config, checkpoint: str) -> list[Exchange]:
    """Which questions are asked again: of those that this checkpoint answered within a day of the newest, drawn by
    their words."""
    paths = [path for path in files(config) if path.name != RESAMPLED] if config.collect.resampled else []
    found = [one for path in paths for one in read(path) if not isinstance(one, Rejected)]
    times = [one.time for one in found if one.checkpoint_id == checkpoint and one.time is not None]
    if not times:
        return []
    since = max(times) - WITHIN
    own = [one for one in found if one.checkpoint_id == checkpoint and one.time is not None and one.time >= since]
    questions = {_key(one): one for one in map(_masked, own)}
    return [questions[key] for key in sorted(questions)[: config.collect.resampled]]


def _masked(one: Exchange) -> Exchange:
    """As the server keeps it; a file of the operator's own may not be masked."""
    leaks = max(one.leaks, len(leaked(one.prompt, one.answer)))
    return replace(one, prompt=mask_json(one.prompt), answer=mask(one.answer), leaks=leaks)


def _known(path: Path) -> list[Exchange]:
    return [one for one in read(path) if not isinstance(one, Rejected)] if path.exists() else []


def _key(one: Exchange) -> str:
    """The same for the same question to the same checkpoint, whatever was answered."""
    said = [one.checkpoint_id, misbehaviour_id(one.prompt, "")]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _row(one: Exchange) -> dict[str, object]:
    return {
        "id": one.ref,
        "time": None if one.time is None else one.time.isoformat(),
        "checkpoint_id": one.checkpoint_id,
        "prompt": one.prompt,
        "answer": one.answer,
        "resamples": list(one.resamples),
        "leaks": one.leaks,
        "consent": one.consent,
    }
