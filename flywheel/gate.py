"""The gate: a new checkpoint and the one that people talk to answer the same held-out cases; is the new one to follow?

Both answer at temperature 0. What is asked of the answers is in `flywheel.evidence`; the red team's attacks are put to
both besides. A verdict is made of its inputs: asked again with the same, it is the same row, and nothing is computed.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.orm import Session

from flywheel.asked import Asked, asked
from flywheel.cases import still_bad, wanted
from flywheel.checkpoints import folder_of, noted, run_named
from flywheel.choice import learnt_ids, learnt_prompts
from flywheel.config import Config
from flywheel.evidence import Group, Rule, judge, pooled, reasons, reasons_for, worse_attacks
from flywheel.gate_cases import EVALUATION, Case, Cases, digest, read_cases, stray_tolerance, trained_on
from flywheel.live import mark
from flywheel.lost import failing, reading
from flywheel.tables import Correction, Dataset, Misbehaviour, Run, Verdict
from flywheel.verdict_page import Exchange, Shown, render
from labeling.store.database import Database
from trainer import checkpoint
from trainer.checkpoint import write_whole
from trainer.device import pick_device
from trainer.measure.agreement import without_nan
from trainer.pointer import Pointer, read_pointer
from trainer.redteam.command import Options, redteam
from trainer.redteam.files import library
from trainer.redteam.report import Change
from trainer.sampling import GREEDY
from trainer.talk.conversation import read_template
from trainer.talk.respond import answers

PAGE, ANSWERS = "verdict.html", "answers.jsonl"


@dataclass(frozen=True)
class Judged:
    """A verdict, as the store has it."""

    id: str
    run: str
    passed: bool
    reason: str
    page: Path
    new: bool
    """Whether it was found just now."""


@dataclass(frozen=True)
class _Task:
    """All that a verdict depends on, but for the weights."""

    run: str
    checkpoint: Pointer
    base: Pointer
    dataset: Path
    targets: frozenset[str]
    aimless: str
    """Why there are no targets; empty where there are."""
    cases: Cases
    learnt: Asked
    """What the runs before it have learnt answers to."""


def gate(database: Database, config: Config, now: datetime, run: str | None = None) -> Judged | None:
    """Judges a run, by default the newest that is trained and neither refused nor promoted; None where there is none.

    Leaves verdict.html and answers.jsonl in `config.verdicts`, then the row; a run that does not pass becomes
    `refused`. Raises ValueError or FileNotFoundError for a run that can't be judged, a missing current checkpoint, and
    general questions that can't be used; LostError where the run's checkpoint or dataset can't be read, and it becomes
    `failed` where it was not named.
    """
    _adopt(database, config)
    with failing(database, run):
        return _judged(database, config, now, run)


def _judged(database: Database, config: Config, now: datetime, run: str | None) -> Judged | None:
    started = time.monotonic()
    with database.read() as session:
        task = _task(session, config, run)
        if task is None:
            return None
        id = _verdict_id(task, config)
        known = session.get(Verdict, id)
        if known is not None:
            return Judged(id, known.run, known.passed, known.reason, config.folder / known.page, False)
    exchanges, unasked, seen = _ask(task, config)
    rule = Rule(config.gate.minimum_cases, config.gate.tolerance, config.gate.confidence)
    groups = _groups(task, config, exchanges, unasked, seen)
    pool = pooled(groups, rule)
    findings = [judge(group, rule) for group in (*groups, *([pool] if pool else []))]
    attacks = _attacks(task, config)
    against = reasons(findings, rule, task.aimless) + worse_attacks(attacks, rule)
    unlooked = _unlooked(config, attacks)
    reason = " ".join(against) if against else reasons_for(findings, rule, unlooked)
    folder = config.verdicts / id[:16]
    shown = Shown(
        run=task.run,
        passed=not against,
        reasons=tuple(against) or (reason,),
        before=task.base.id,
        after=task.checkpoint.id,
        made=now,
        rule=rule,
        findings=tuple(findings),
        exchanges=tuple(exchanges),
        attacks=attacks,
        uncounted=task.cases.uncounted,
        unlooked=unlooked,
    )
    for one in (config.verdicts, folder):
        one.mkdir(mode=0o700, exist_ok=True)
    rows = [json.dumps(dataclasses.asdict(one), ensure_ascii=False) for one in exchanges]
    write_whole(folder / ANSWERS, "".join(row + "\n" for row in rows), private=True)
    write_whole(folder / PAGE, render(shown), private=True)
    figures = without_nan(
        {
            "base": task.base.id,
            "checkpoint": task.checkpoint.id,
            "rule": dataclasses.asdict(rule),
            "groups": [dataclasses.asdict(finding) for finding in findings],
            "attacks": [dataclasses.asdict(change) for change in attacks],
            "contaminated": sorted(seen),
            "uncounted": task.cases.uncounted,
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    page = folder / PAGE
    with database.write() as session:
        if session.get(Verdict, id) is None:
            session.add(
                Verdict(
                    id=id,
                    run=task.run,
                    made=now,
                    passed=not against,
                    reason=reason,
                    figures=figures,
                    page=noted(config, page),
                )
            )
        judged = session.get_one(Run, task.run)
        if judged.state in ("trained", "refused"):
            judged.state = "refused" if against else "trained"
            judged.note = reason if against else ""
    return Judged(id, task.run, not against, reason, page, True)


def _adopt(database: Database, config: Config) -> None:
    """Notes that a run is promoted whose checkpoint people talk to already: its promotion is younger than the store."""
    with database.read() as session:
        trained = list(session.scalars(sql.select(Run.checkpoint_id).where(Run.state == "trained")))
    if trained and (current := read_pointer(config.current).id) in trained:
        with database.write() as session:
            mark(session, current, "promoted")


def _task(session: Session, config: Config, name: str | None) -> _Task | None:
    if name is None:
        query = sql.select(Run).where(Run.state == "trained").order_by(Run.decision.desc(), Run.id).limit(1)
        run = session.scalars(query).first()
        if run is None:
            return None
    else:
        run = run_named(session, name)
        if run.state not in ("trained", "refused"):
            raise ValueError(f"run {name} is {run.state}; only one that is trained can be judged.")
    with reading(run.id):
        folder = folder_of(config, run)
        found = checkpoint.read_about(folder).id
    base = read_pointer(config.current)
    if base.id == found:
        raise ValueError(f"run {run.id} is what people talk to already; there is nothing to compare it with.")
    dataset = session.get_one(Dataset, run.dataset)
    targets, aimless = _targets(session, dataset)
    cases = read_cases(session, config.gate.evaluation)
    if fault := stray_tolerance(session, config.gate.tolerances):
        raise ValueError(fault)
    return _Task(
        run=run.id,
        checkpoint=Pointer(folder, found),
        base=base,
        dataset=config.folder / dataset.path,
        targets=targets,
        aimless=aimless,
        cases=cases,
        learnt=learnt_prompts(session),
    )


def _targets(session: Session, dataset: Dataset) -> tuple[frozenset[str], str]:
    """The clusters whose corrections no promoted run has learnt: what this one is for. Why there is none, else.

    A run that was rolled back may be judged again after another has learnt the same.
    """
    clusters = sql.select(Correction.id, Misbehaviour.cluster).join(
        Misbehaviour, Misbehaviour.id == Correction.misbehaviour
    )
    new = set(dataset.corrections) - learnt_ids(session)
    found = frozenset(name for id, name in session.execute(clusters).tuples() if id in new and name is not None)
    learnt = "a promoted run has learnt the corrections already"
    return found, "" if found else learnt if dataset.corrections and not new else "the corrections belong to no cluster"


def _verdict_id(task: _Task, config: Config) -> str:
    gate = config.gate.model_dump(mode="json", exclude={"held_out", "evaluation"})
    if not config.gate.tolerances:
        del gate["tolerances"]  # which earlier verdicts did not know
    said = [task.run, task.checkpoint.id, task.base.id, sorted(task.targets), digest(task.cases.cases), gate]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _ask(task: _Task, config: Config) -> tuple[list[Exchange], list[Case], set[str]]:
    """What both answered; the cases that one could not be asked; the ids of those that it or a run before it learnt."""
    with reading(task.run, "dataset"):
        known = trained_on(task.dataset)
    readable = [(case, turns) for case in task.cases.cases if (turns := case.turns())]
    seen = {case.id for case, _ in readable if (ask := asked(case.prompt)) in known or ask in task.learnt}
    asking = [(case, turns) for case, turns in readable if case.id not in seen]
    prompts = [turns for _, turns in asking]
    both, device = [], pick_device(config.train.device)
    for pointer in (task.base, task.checkpoint):
        with nullcontext() if pointer is task.base else reading(task.run):
            loaded = checkpoint.load(pointer.folder, device=device)
        template = read_template(loaded.vocabulary)
        found = answers(loaded.model, template, prompts, GREEDY, max_tokens=config.gate.max_tokens)
        both.append([several[0] for several in found])
    exchanges = [
        Exchange(
            case=case.id,
            group=case.group,
            prompt=case.prompt,
            before=before.text,
            after=after.text,
            bad_before=_bad(case, before.text),
            bad_after=_bad(case, after.text),
            wanted="; ".join(map(wanted, case.checks)),
        )
        for (case, _), before, after in zip(asking, *both, strict=True)
        if before.tokens and after.tokens
    ]
    judged = {(exchange.group, exchange.case) for exchange in exchanges}
    unasked = [case for case in task.cases.cases if case.id not in seen and (case.group, case.id) not in judged]
    return exchanges, unasked, seen


def _bad(case: Case, answer: str) -> bool:
    return any(still_bad(check, case.prompt, answer) for check in case.checks)


def _groups(
    task: _Task, config: Config, exchanges: Sequence[Exchange], unasked: Sequence[Case], seen: set[str]
) -> list[Group]:
    """The clusters that have cases or are targets, targets first, and the evaluation at the end."""
    having = {case.group for case in task.cases.cases} | task.targets
    ordered = sorted(having, key=lambda id: (id == EVALUATION, id not in task.targets, task.cases.names[id], id))
    groups = []
    for id in ordered:
        own = [exchange for exchange in exchanges if exchange.group == id]
        groups.append(
            Group(
                id=id,
                name=task.cases.names[id],
                target=id in task.targets,
                before=tuple(exchange.bad_before for exchange in own),
                after=tuple(exchange.bad_after for exchange in own),
                contaminated=sum(case.group == id and case.id in seen for case in task.cases.cases),
                unasked=sum(case.group == id for case in unasked),
                tolerance=next((own for key, own in config.gate.tolerances.items() if id.startswith(key)), None),
            )
        )
    return groups


def _unlooked(config: Config, attacks: Sequence[Change]) -> tuple[str, ...]:
    """What does not stand behind a verdict, and why not."""
    found = []
    if config.gate.evaluation is None:
        found.append("general questions: none are set")
    if not config.gate.attacks:
        found.append("the red team's attacks: they are switched off")
    elif not attacks or not attacks[0].count:
        found.append("the red team's attacks: none fits into the model's context")
    return tuple(found)


def _attacks(task: _Task, config: Config) -> tuple[Change, ...]:
    if not config.gate.attacks:
        return ()
    options: dict[str, Any] = {"max_tokens": config.gate.max_tokens, "device": config.train.device}
    asked_both = redteam(
        task.checkpoint.folder, library().attacks(0), Options(temperature=0.0, **options), task.base.folder
    )
    return asked_both.report.changes
