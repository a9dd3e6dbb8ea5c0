"""How often the checkpoint that people talk to misbehaves today: on the gate's cases, general questions, and attacks.

The gate compares two checkpoints once; this is asked of the one that answers, every night, so that a rate has a
history. Each figure is a row that is made of what was asked: the same again is not computed.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from flywheel.asked import asked
from flywheel.cases import still_bad
from flywheel.choice import learnt_prompts
from flywheel.collect import EVALUATED
from flywheel.config import Config
from flywheel.gate_cases import EVALUATION, Case, digest, read_cases
from flywheel.resample import ANSWERS, resample
from flywheel.sampled import Exchange
from flywheel.tables import AGAIN, ATTACKS, Measurement
from labeling.rows import Row, read_rows
from labeling.store.database import Database
from trainer import checkpoint
from trainer.checkpoint import Checkpoint, write_whole
from trainer.device import pick_device
from trainer.measure.agreement import wilson
from trainer.model import Llama
from trainer.pointer import Pointer, read_pointer
from trainer.redteam.attack import Attack
from trainer.redteam.command import Options, redteam
from trainer.redteam.files import library
from trainer.redteam.findings import keep, reports
from trainer.sampling import GREEDY, Sampling
from trainer.talk.conversation import read_template
from trainer.talk.respond import answers


@dataclass(frozen=True)
class Measured:
    """A group's figure, as the store has it."""

    name: str
    checkpoint_id: str
    cases: int
    bad: int
    new: bool
    """Whether it was found just now."""
    left_out: int = 0
    """Cases that were not asked, as a run has learnt the answers to them, or nearly."""

    def __str__(self) -> str:
        what = "the answer" if self.left_out == 1 else "their answers"
        learnt = f"; {self.left_out:,} left out, as a run has learnt {what}" if self.left_out else ""
        if not self.cases:
            return f"{self.name}: no case that {self.checkpoint_id[:12]} could be asked{learnt}"
        low, high = wilson(self.bad, self.cases)
        rate = f"{self.bad:,} of {self.cases:,} bad, {self.bad / self.cases:.0%} ({low:.0%} to {high:.0%})"
        return f"{self.name}: {rate}{'' if self.new else ', known before'}{learnt}"


def evaluate(database: Database, config: Config, now: datetime) -> Iterator[Measured]:
    """Asks the current checkpoint everything, at temperature 0, and tells of each group when it is done.

    Cases that a run has learnt the answers to are left out. The successful attacks become reports in the store, the
    general questions' answers EVALUATED, and sampled questions are asked again at the temperature of the chat
    (`flywheel.resample`); `flywheel.collect` takes all. Raises FileNotFoundError or ValueError where there is no
    current checkpoint, or general questions can't be used.
    """
    model = _Model(read_pointer(config.current), config)
    with database.read() as session:
        found, learnt = read_cases(session, config.gate.evaluation), learnt_prompts(session)
    readable = [case for case in found.cases if case.turns() is not None]
    seen = {case.id for case in readable if asked(case.prompt) in learnt}
    groups = sorted({case.group for case in readable}, key=lambda id: (id == EVALUATION, found.names[id], id))
    for group in groups:
        own = [case for case in readable if case.group == group and case.id not in seen]
        left_out = sum(case.group == group and case.id in seen for case in readable)
        if not own:
            yield Measured(found.names[group], model.pointer.id, 0, 0, False, left_out)
            continue
        id = _id(model.pointer.id, group, digest(own), config)
        known = _known(database, id)
        stale = group == EVALUATION and not _is_of(config.folder / EVALUATED, id)
        if known is None or stale:  # after a rollback the file has another checkpoint's answers, though all is known
            said = model.said(own)
            if stale:
                _write_evaluated(config.folder / EVALUATED, model.pointer.id, id, said)
        if known is None:
            bad = sum(any(still_bad(check, case.prompt, answer) for check in case.checks) for case, answer in said)
            known = _keep(database, id, now, model.pointer.id, group, found.names[group], len(said), bad)
        yield dataclasses.replace(known, left_out=left_out)
    again = resample(config, model.pointer.id, model.again)
    if again is not None:
        id = _id(model.pointer.id, AGAIN, again.id, config)
        found_bad = len(again.answered), again.contradicted
        known = _known(database, id)
        yield known or _keep(database, id, now, model.pointer.id, AGAIN, "sampled questions, asked again", *found_bad)
    if config.gate.attacks:
        yield _attacks(database, config, model.pointer, now)


@dataclass(frozen=True)
class _Model:
    """Read when it is first asked: where all is known, it never is."""

    pointer: Pointer
    config: Config

    @cached_property
    def loaded(self) -> Checkpoint[Llama]:
        return checkpoint.load(self.pointer.folder, device=pick_device(self.config.train.device))

    def said(self, cases: Sequence[Case]) -> list[tuple[Case, str]]:
        """The answers; without those cases that do not fit into the model's context."""
        template = read_template(self.loaded.vocabulary)
        prompts = [case.turns() or () for case in cases]
        found = answers(self.loaded.model, template, prompts, GREEDY, max_tokens=self.config.gate.max_tokens)
        return [(case, answer.text) for case, (answer,) in zip(cases, found, strict=True) if answer.tokens]

    def again(self, exchanges: Sequence[Exchange]) -> list[list[str]]:
        """ANSWERS answers to each, as the server draws them; none where the question does not fit into the context."""
        template = read_template(self.loaded.vocabulary)
        prompts = [Case(one.ref, AGAIN, one.prompt, ()).turns() for one in exchanges]
        askable = [prompt for prompt in prompts if prompt is not None]
        tokens = self.config.gate.max_tokens
        found = iter(answers(self.loaded.model, template, askable, Sampling(), samples=ANSWERS, max_tokens=tokens))
        said = [[] if prompt is None else next(found) for prompt in prompts]
        return [[answer.text for answer in given if answer.tokens] for given in said]


def _attacks(database: Database, config: Config, current: Pointer, now: datetime) -> Measured:
    attacks = library().attacks(0)
    id = _id(current.id, ATTACKS, _digest(attacks), config)
    known = _known(database, id)
    if known is not None:
        return known
    options = Options(temperature=0.0, max_tokens=config.gate.max_tokens, device=config.train.device)
    outcome = redteam(current.folder, attacks, options)
    keep(database, reports(outcome.trials, current.id, options.as_json()))
    tried = [trial for trial in outcome.trials if trial.asked and trial.attack.twin_of is None]
    bad = sum(any(trial.met) for trial in tried)
    return _keep(database, id, now, current.id, ATTACKS, "the red team's attacks", len(tried), bad)


def _id(checkpoint_id: str, group: str, cases: str, config: Config) -> str:
    said = [checkpoint_id, group, cases, config.gate.max_tokens]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _digest(attacks: Sequence[Attack]) -> str:
    rows = [dataclasses.asdict(attack) for attack in attacks]
    return hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()


def _known(database: Database, id: str) -> Measured | None:
    with database.read() as session:
        row = session.get(Measurement, id)
        return None if row is None else Measured(row.name, row.checkpoint_id, row.cases, row.bad, False)


def _keep(
    database: Database, id: str, now: datetime, checkpoint_id: str, group: str, name: str, cases: int, bad: int
) -> Measured:
    """What another process has found meanwhile is the same."""
    values: dict[str, Any] = {"made": now, "checkpoint_id": checkpoint_id, "group": group, "name": name}
    with database.write() as session:
        session.merge(Measurement(id=id, cases=cases, bad=bad, **values))
    return Measured(name, checkpoint_id, cases, bad, True)


def _is_of(path: Path, measurement: str) -> bool:
    """Whether the file has the answers that the measurement of this id counts."""
    first = next(iter(read_rows(path)), None) if path.exists() else None
    return isinstance(first, Row) and first.fields.get("measurement") == measurement


def _write_evaluated(path: Path, checkpoint_id: str, measurement: str, said: Sequence[tuple[Case, str]]) -> None:
    made_by = {"checkpoint_id": checkpoint_id, "measurement": measurement}
    rows = [
        {"id": case.id, "messages": case.prompt, "answer": answer, "check": check} | made_by
        for case, answer in said
        for check in case.checks
    ]
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), private=True)
