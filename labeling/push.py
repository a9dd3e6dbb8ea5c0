"""Samples into Label Studio: into the store first, then as tasks, batch by batch, each noted when it has arrived.

A batch is marked in the store before it is sent. If the program or the server dies before the tasks' numbers are noted,
the next push looks for them by `data.ref`, an opaque name that each task carries, and sends what did not arrive.
"""

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from labeling.client import Client, DeniedError, LabelStudioError, NotFoundError, RefusedError
from labeling.drafts import Drafter, NoAnswer
from labeling.gold import Mixer
from labeling.kinds.kind import Draft, Json, Kind, Sample
from labeling.kinds.texts import harmless
from labeling.project import kind_of
from labeling.rows import Known, Rejected
from labeling.store.database import Database
from labeling.store.labels import BATCH, Project, StoredSample, add_samples, get_project
from labeling.store.sending import (
    anything_unsent,
    claim,
    count_unsent,
    in_doubt,
    known_samples,
    known_tasks,
    last_task,
    noted_tasks,
    release,
    renew,
    set_deleted,
    set_drafts,
    set_tasks,
    unsent,
    unsent_gold,
)
from labeling.tasks import TASKS, chunks, make_task, reference, references, shuffle
from labeling.uncertainty import conversation

DRAFTED = 32
"""Samples that are drafted, stored and sent together: a model may take seconds for each."""

GOLD_RATE = 0.05
"""The share of gold questions where nobody says otherwise and there are any: one in twenty."""

SETTLE = 120.0
"""Seconds after which an import that was cut off is taken to have come to nothing: as long as the client waits for an
answer. 500 tasks take a server about one."""

FLUSH = 5.0
"""Seconds after which what a slow source gave is stored, however little it is."""

REFUSED = 8
"""So many tasks refused, and none taken, are a fault of the project."""

Say = Callable[[str], None]
Progress = Callable[[int, int], None]
Uncertainty = Callable[[Sequence[Sample]], Sequence[float]]


class PushError(Exception):
    """A push that can't begin or go on, and what to do. Nothing is lost: the same command goes on."""


@dataclass
class Pushed:
    """What became of the samples that were given, and of those that waited in the store."""

    pushed: int = 0
    """Sent now, gold included."""
    gold: int = 0
    """Of them gold questions."""
    already: int = 0
    """Given, but in the project before."""
    arrived: int = 0
    """Sent by an earlier push that was cut off or that the store forgot, and found in Label Studio now."""
    waiting_gold: int = 0
    """Gold questions for which there was no place at this rate; the next push mixes them in."""
    missing_gold: int = 0
    """How many more gold questions the rate asked for."""
    deleted: int = 0
    """Tasks found to have been deleted in Label Studio; they are not sent again."""
    doubled: int = 0
    """Tasks that are in Label Studio a second time."""
    undrafted: Counter[str] = field(default_factory=Counter)
    """Sent without a draft: why the model gave none."""
    rejected: list[Rejected] = field(default_factory=list)
    """Rows that are no samples."""
    refused: list[tuple[Json, str]] = field(default_factory=list)
    """Samples that Label Studio would not take, by provenance, and its reason."""


def push(
    database: Database,
    client: Client,
    name: str,
    samples: Iterable[Sample | Rejected | Known] = (),
    drafts: Drafter | None = None,
    gold_rate: float = GOLD_RATE,
    uncertainty: Uncertainty | None = None,
    say: Say | None = None,
    progress: Progress | None = None,
    settle: float = SETTLE,
) -> Pushed:
    """Stores the samples that the project `name` has not had, then sends all that wait in it, greatest priority first.

    Samples with a right verdict are gold: they are sent as `gold_rate` of the tasks. `uncertainty` gives priorities.
    Raises KeyError for an unknown project, PushError, StoreError, LabelStudioError: whatever stopped it, the same call
    goes on, and sends nothing twice.
    """
    one = _Push(database, client, get_project(database, name), say or (lambda _: None), settle)
    mixer = Mixer[StoredSample]([], gold_rate, random.Random(secrets.randbits(64)))
    one.look()
    one.store(samples, uncertainty)
    one.finish_earlier()
    one.remember()
    mixer.add(unsent_gold(database, name))
    one.send(mixer, drafts, progress or (lambda *_: None))
    return one.result


class _Push:
    def __init__(self, database: Database, client: Client, project: Project, say: Say, settle: float) -> None:
        self.database, self.client, self.project, self.say, self.settle = database, client, project, say, settle
        self.kind: Kind = kind_of(database, project)
        self.result = Pushed()
        self.failures = 0

    def look(self) -> None:
        """Whether the project in Label Studio is still the one that was made."""
        name = self.project.name
        noted = noted_tasks(self.database, name)  # before asking: what another push notes meanwhile is not gone
        try:
            there = self.client.project(self.project.remote_id)
        except NotFoundError:
            raise PushError(
                f"{name}: its project (number {self.project.remote_id}) is gone from {self.client.url}; "
                "somebody deleted it, or this is another server. What was pulled of it is kept; create a new project."
            ) from None
        if there.get("task_number", len(noted)) < len(noted):
            # Tasks that somebody added in the page hide as many that were deleted; a full pull sees each.
            found = self.client.tasks(self.project.remote_id, with_annotations=False)
            self.result.deleted = set_deleted(self.database, name, noted - {int(task["id"]) for task in found})

    def store(self, samples: Iterable[Sample | Rejected | Known], uncertainty: Uncertainty | None) -> None:
        """Stores the samples in batches, the first of each kind where the same one is given twice."""
        batch: dict[str, Sample] = {}
        most, flushed = DRAFTED if uncertainty else BATCH, time.monotonic()
        try:
            for one in samples:
                if isinstance(one, Rejected):
                    self.result.rejected.append(one)
                    continue
                if isinstance(one, Known):
                    self.result.already += 1
                    continue
                self.result.already += one.id in batch
                batch.setdefault(one.id, one)
                if len(batch) >= most or time.monotonic() - flushed > FLUSH:
                    done, batch = batch, {}
                    self._store(done, uncertainty)
                    flushed = time.monotonic()
        finally:  # a source that asks models is slow: what it gave before it failed is kept
            self._store(batch, uncertainty)

    def _store(self, batch: Mapping[str, Sample], uncertainty: Uncertainty | None) -> None:
        if not batch:
            return
        known = known_samples(self.database, self.project.name, batch.keys())
        new = [one for id, one in batch.items() if id not in known]
        if uncertainty is not None:
            new = [replace(one, priority=value) for one, value in zip(new, uncertainty(new), strict=True)]
        added = add_samples(self.database, self.project.name, [self._stored(one) for one in new])
        self.result.already += len(batch) - added

    def _stored(self, sample: Sample) -> StoredSample:
        return StoredSample(
            id=sample.id,
            content=sample.content,
            order=shuffle(self.project, sample.id, self.kind.shuffled(sample.content)),
            gold=sample.gold,
            draft=None,
            draft_model=None,
            priority=sample.priority,
            provenance=sample.provenance,
            added=datetime.now(UTC),
        )

    def finish_earlier(self) -> None:
        """Notes the tasks of pushes that were cut off, and gives up those that did not arrive within `settle`.

        Another push that is at work looks the same: its batches are waited for too.
        """
        told = False
        while doubtful := in_doubt(self.database, self.project.name):
            refs = {reference(self.project, id): id for id in doubtful}
            arrived = self.client.find_tasks(self.project.remote_id, list(refs))
            if arrived:
                set_tasks(self.database, self.project.name, {refs[ref]: tasks[0] for ref, tasks in arrived.items()})
                self.result.arrived += len(arrived)
                self.result.doubled += sum(len(tasks) - 1 for tasks in arrived.values())
            lost = doubtful.keys() - {refs[ref] for ref in arrived}
            if not lost:
                continue
            until = datetime.now(UTC) - timedelta(seconds=self.settle)
            release(self.database, self.project.name, [id for id in lost if doubtful[id] <= until])
            wait = min(max((doubtful[id] - until).total_seconds() for id in lost), 1.0)
            if wait > 0:
                if not told:
                    self.say(
                        f"{len(lost):,} tasks may still be on their way from a push that was cut off, or is at work; "
                        f"waiting up to {self.settle:g} seconds for them"
                    )
                told = True
                time.sleep(wait)

    def remember(self) -> None:
        """Notes the tasks that were sent after the store's backup was made, from which it was restored.

        They are behind the last one that it knows, so where nothing was forgotten this costs a request for one task.
        Stopped between the two notes, the next push finds the tasks as those of one that was cut off.
        """
        if not anything_unsent(self.database, self.project.name):
            return
        tasks = [(str(task["data"].get("ref")), int(task["id"])) for task in self._unknown_tasks()]
        if not tasks:
            return
        with self.database.read() as session:
            ids = references(session, self.project)
        found = {ids[ref]: task for ref, task in reversed(tasks) if ref in ids}  # the first one of each
        samples, before = list(found), self.result.arrived
        for start in range(0, len(samples), BATCH):
            mine = claim(self.database, self.project.name, samples[start : start + BATCH])
            if mine:
                set_tasks(self.database, self.project.name, {id: found[id] for id in mine})
            self.result.arrived += len(mine)
        if forgotten := self.result.arrived - before:
            self.say(
                f"{forgotten:,} tasks had been sent that the store did not know of, as after its restoration from a "
                "backup; they are not sent again"
            )

    def _unknown_tasks(self) -> Iterator[Json]:
        """The tasks with greater numbers than the store has noted, and where these can't be compared all."""
        known, remote = last_task(self.database, self.project.name), self.project.remote_id
        after = 0 if known is None else known[0] - 1
        found = self.client.tasks(remote, after_id=after, with_annotations=False)
        if known is None:
            yield from found
            return
        last = next(found, None)
        if last is not None and last["data"].get("ref") == reference(self.project, known[1]):
            yield from found
        else:  # it was deleted, and on SQLite Label Studio has given its number to the next
            yield from self.client.tasks(remote, with_annotations=False)

    def send(self, mixer: Mixer[StoredSample], drafts: Drafter | None, progress: Progress) -> None:
        gold, skipped = bool(mixer.left), set[str]()
        total = count_unsent(self.database, self.project.name)
        while True:
            # What was refused stays unsent, in the store's order, before or among the rest.
            found = unsent(self.database, self.project.name, (DRAFTED if drafts else TASKS) + len(skipped))
            batch = [one for one in found if one.id not in skipped]
            if not batch:
                break
            batch = mixer.mix(batch)
            if drafts is not None:
                batch = self._drafted(batch, drafts)
            tasks = [make_task(self.project, self.kind, one) for one in batch]
            for chunk in chunks(list(zip(batch, tasks, strict=True))):
                skipped |= self._send(chunk)
                progress(self.result.pushed, max(total, self.result.pushed))
        self.result.waiting_gold, self.result.missing_gold = len(mixer.left), mixer.short if gold else 0

    def _drafted(self, batch: list[StoredSample], drafts: Drafter) -> list[StoredSample]:
        if self.kind.prediction(batch[0].content, Draft("?", "?")) is None:
            raise PushError(
                f"{self.project.name}: in a project of {self.project.kind} there is no box that a draft could fill; "
                "push without drafts"
            )
        bare = [one for one in batch if one.draft is None]
        found = dict(
            zip([one.id for one in bare], drafts.answers([conversation(one.content) for one in bare]), strict=True)
        )
        # As it is shown, so that a draft that is kept as it was has no distance from itself.
        given = {id: (harmless(answer.text), answer.model) for id, answer in found.items() if isinstance(answer, Draft)}
        self.result.undrafted.update(answer.reason for answer in found.values() if isinstance(answer, NoAnswer))
        set_drafts(self.database, self.project.name, given)
        return [
            replace(one, draft=given[one.id][0], draft_model=given[one.id][1]) if one.id in given else one
            for one in batch
        ]

    def _send(self, chunk: list[tuple[StoredSample, Json]]) -> set[str]:
        """Sends the chunk; the ids of those that Label Studio refused."""
        mine = claim(self.database, self.project.name, [one.id for one, _ in chunk])
        left = [(one, task) for one, task in chunk if one.id in mine]
        if not left:
            return set()
        try:
            ids = self.client.import_tasks(self.project.remote_id, [task for _, task in left])
        except RefusedError as error:
            release(self.database, self.project.name, mine)
            return self._send_halves(left, error)
        except (DeniedError, NotFoundError):
            release(self.database, self.project.name, mine)
            raise
        except LabelStudioError as error:
            self._after(error, left)
            return set()
        set_tasks(self.database, self.project.name, {one.id: id for (one, _), id in zip(left, ids, strict=True)})
        self._count(left)
        self.failures = 0
        return set()

    def _send_halves(self, left: list[tuple[StoredSample, Json]], error: RefusedError) -> set[str]:
        """One task at fault has a whole import refused: finds it."""
        if len(left) == 1:
            self.result.refused.append((left[0][0].provenance, str(error)))
            if len(self.result.refused) >= REFUSED and not self.result.pushed:
                raise PushError(
                    f"{self.project.name}: Label Studio refused the first {REFUSED} tasks. {error}. Was the project's "
                    "labelling interface changed by hand? Create a new project."
                )
            return {left[0][0].id}
        middle = len(left) // 2
        return self._send(left[:middle]) | self._send(left[middle:])

    def _after(self, error: LabelStudioError, left: list[tuple[StoredSample, Json]]) -> None:
        """No answer, or a failure: what arrived is noted, what did not is sent again once."""
        self.failures += 1
        if self.failures > 1:
            raise error
        self.say(f"{error} Looking for what arrived.")
        renew(self.database, self.project.name, [one.id for one, _ in left])  # the server may be at it still
        self.finish_earlier()
        there = known_tasks(self.database, self.project.name, [one.id for one, _ in left])
        self.result.arrived -= len(there)
        self._count([(one, task) for one, task in left if one.id in there])

    def _count(self, sent: Sequence[tuple[StoredSample, Json]]) -> None:
        self.result.pushed += len(sent)
        self.result.gold += sum(one.gold is not None for one, _ in sent)
