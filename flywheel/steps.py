"""The steps of the loop, each told in a line: what `corpuscle flywheel` prints, whether it takes one or all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flywheel.collect import UNUSABLE, collect
from flywheel.config import Config
from flywheel.decide import decide
from flywheel.gate import gate
from flywheel.label import admitted, fetch, send
from flywheel.promote import Promoted, promote
from flywheel.train import train
from labeling.client import Client
from labeling.pull import DELETED, REPLACED
from labeling.store.database import Database
from labeling.validate import SKIPPED
from pipeline.report.numbers import plural


@dataclass(frozen=True)
class Step:
    """What a step did, in a line."""

    name: str
    said: str
    did: bool
    """Whether it changed anything."""


def collected(database: Database, config: Config, now: datetime) -> Step:
    found = collect(database, config, now)
    new = sum(found.new.values())
    said = f"{plural(new, 'new misbehaviour')}, {found.known:,} known, {plural(found.clusters, 'new cluster')}"
    if found.untold:  # once: the rest of the time they are in the file
        said += f", {len(found.untold):,} more can't be used, see {UNUSABLE} ({found.untold[0]})"
    return Step("collect", said, bool(new or found.clusters))


def labelled(database: Database, config: Config, client: Client) -> Step:
    """Sends what people are to correct, and fetches what they did. Raises what `flywheel.label` raises.

    What can't be sent is told each time: it waits until somebody mends the project.
    """
    sent = send(database, client, config)
    pulled = fetch(database, client, config)
    said = f"{sent.pushed.pushed:,} sent, {plural(pulled.new, 'new label')}, {pulled.changed:,} changed"
    unsent = [f"misbehaviour {one.get('misbehaviour')}: {reason}" for one, reason in sent.pushed.refused]
    unsent += map(str, sent.pushed.rejected)
    said += f", {len(unsent):,} can't be sent ({unsent[0]})" if unsent else ""
    said += "".join(f", {count:,} without a draft ({why})" for why, count in sent.pushed.undrafted.items() if count)
    said += set_aside(pulled.reasons)
    said += "".join(f", {changed}" for changed in pulled.differs)
    return Step("label", said, bool(sent.noted or pulled.new or pulled.changed or pulled.deleted))


def set_aside(reasons: Mapping[str, int]) -> str:
    """How many labels say nothing as they don't fit their project, and why most of them; empty where all do.

    What was skipped or replaced is as people meant it.
    """
    unfit = {reason: count for reason, count in reasons.items() if reason not in (SKIPPED, DELETED, REPLACED)}
    if not unfit:
        return ""
    most = min(unfit, key=lambda reason: (-unfit[reason], reason))
    others = f", {sum(unfit.values()) - unfit[most]:,} for other reasons" if len(unfit) > 1 else ""
    return f", {sum(unfit.values()):,} set aside ({unfit[most]:,}: {most}{others})"


def admission(database: Database, config: Config, now: datetime) -> Step:
    found = admitted(database, config, now)
    new = plural(found.corrections, "new correction")
    said = f"{new}, {found.refused:,} refused as poison, {found.withdrawn:,} withdrawn"
    said += f", {found.released:,} no longer refused" if found.released else ""
    return Step("admit", said, any(vars(found).values()))


def decided(database: Database, config: Config, now: datetime, order: str | None = None) -> Step:
    decision = decide(database, config, now, order)
    return Step("decide", f"{'train' if decision.retrain else 'wait'}: {decision.reason}", decision.retrain)


def trained(database: Database, config: Config, now: datetime) -> Step | None:
    """None where nothing is to be trained."""
    run = train(database, config, now)
    if run is None:
        return None
    said = f"run {run.id[:12]} {'is being trained' if run.state == 'training' else run.state}"
    return Step("train", f"{said}: {run.note.splitlines()[-1]}" if run.note else said, run.state != "training")


def judged(database: Database, config: Config, now: datetime, run: str | None = None) -> Step | None:
    """None where no run waits to be judged."""
    found = gate(database, config, now, run)
    if found is None:
        return None
    said = f"run {found.run[:12]} {'passed' if found.passed else 'refused'}: {found.reason} {found.page}"
    return Step("gate", said, found.new)


def promoted(
    database: Database, config: Config, now: datetime, run: str | None = None, at_once: bool = False
) -> Step | None:
    """None where no run has passed the gate since the last promotion, and no canary is out."""
    found = promote(database, config, now, run, at_once)
    return None if found is None else told(found)


def told(found: Promoted) -> Step:
    checkpoint = found.checkpoint_id[:12]
    if found.action == "canary":
        said = f"{checkpoint} answers {found.share:.0%} of the conversations: {found.reason}"
    else:
        said = f"people talk to {checkpoint} now: {found.folder}"
        said += f" ({found.reason})" if found.action == "rollback" else ""
    return Step(found.action, said, found.new)
