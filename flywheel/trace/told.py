"""The search for pages as steps of the loop, each told in a line: what is found, and what people say of it."""

from collections.abc import Iterator
from datetime import datetime

from flywheel.config import Config
from flywheel.steps import Step
from flywheel.trace.held import DECISIONS
from flywheel.trace.review import Decided, Offered, decided, offer
from flywheel.trace.trace import Traced, trace_new
from labeling.client import Client, LabelStudioError
from labeling.create import ProjectError
from labeling.pull import PullError
from labeling.push import PushError
from labeling.store.database import Database
from pipeline.report.numbers import plural


def turn(database: Database, config: Config, client: Client | None, now: datetime) -> Iterator[Step]:
    """What a tick does where `trace.corpus` is set. A corpus that can't be read is told, and stops nothing else."""
    try:
        yield found(trace_new(database, config, now))
    except (OSError, ValueError) as error:
        yield Step("trace", f"nothing was searched: {error}", False)
    yield from review(database, config, client, now)


def found(traced: Traced) -> Step:
    asked = plural(traced.misbehaviours, "misbehaviour")
    look = "looks" if traced.learnt == 1 else "look"
    said = f"{asked} searched for, {traced.learnt:,} {look} learnt, {plural(traced.new, 'new page')}"
    return Step("trace", said, bool(traced.new))


def review(database: Database, config: Config, client: Client | None, now: datetime) -> Iterator[Step]:
    """Asks people about the pages, as far as they can be asked, and notes what they have said."""
    if client is not None:
        try:
            offered = offer(database, client, config)
        except (LabelStudioError, ProjectError, PushError, PullError) as error:
            yield Step("review", f"nobody can be asked about pages just now: {error}", False)
        else:
            yield _offered(offered)
    now_decided = decided(database, config, now)
    said = (
        f"{plural(now_decided.confirmed, 'page')} confirmed as poison, {now_decided.released:,} found harmless, "
        f"{now_decided.withdrawn:,} open again"
    )
    yield Step("judge pages", said + _held(now_decided), now_decided != Decided())


def _held(found: Decided) -> str:
    """What people have said of held documents since; empty where nothing."""
    told = (
        (found.held_confirmed, "confirmed"),
        (found.held_released, "released"),
        (found.held_withdrawn, "open again"),
    )
    said = ", ".join(f"{count:,} {what}" for count, what in told if count)
    return f"; of held documents {said}: the recipe takes it from {DECISIONS} with its next run" if said else ""


def _offered(offered: Offered) -> Step:
    new = 0 if offered.pulled is None else offered.pulled.new
    said = f"{plural(offered.noted, 'page')} sent, {plural(new, 'new label')}"
    if offered.held:
        said += f", {plural(offered.held, 'held document')} sent"
    if offered.left_out:
        said += f", {plural(offered.left_out, 'held document')} left out, as their sites' owners have too many"
    if offered.pushed is not None and offered.pushed.rejected:
        said += f", {len(offered.pushed.rejected):,} can't be sent ({offered.pushed.rejected[0]})"
    if offered.unread:
        said += f"; what the corpus holds can't be read: {offered.unread}"
    return Step("review", said, bool(offered.noted or offered.held or new))
