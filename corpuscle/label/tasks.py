"""`corpuscle label create` and `push`: what people are asked."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from corpuscle.label.options import FOLDER, FolderOption, StoreOption, folder_at, out, project_on, tell
from corpuscle.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labeling.kinds.kind import Sample
    from labeling.push import Pushed
    from labeling.rows import Known

ASKED_AGAIN = 3
"""How often a model is asked the same, to see whether it is sure."""
SHOWN = 10
"""Bad rows that are shown of each sort."""


def create(
    kind: Annotated[
        str,
        typer.Argument(
            help="demonstrations, comparisons, rankings, corrections, ratings, poison-review, or review.",
            metavar="KIND",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What it is called here; by default as its kind.")] = None,
    overlap: Annotated[int | None, typer.Option(min=1, help="How many people are asked the same.")] = None,
    reviews: Annotated[
        str | None,
        typer.Option(
            metavar="PROJECT",
            help="Of a review: whose disagreements it decides. Of comparisons: whose are shown again, with a model's "
            "choice.",
        ),
    ] = None,
    folder: FolderOption = FOLDER,
    store: StoreOption = None,
) -> None:
    """Make a project of a kind, with its instructions, in Label Studio and in the folder.

    demonstrations: write or correct the ideal answer. comparisons: which of two answers is better, and by how much.
    rankings: order several answers. corrections: a reported problem, the right answer. ratings: helpful, truthful,
    harmless, 1 to 7 each. poison-review: documents that wait for a decision. review: decide where people disagree.
    """
    here = folder_at(folder, store)
    from labeling.create import create as make

    with here.client(tell) as client, here.database() as database:
        made = make(database, client, kind, name, overlap, reviews, tell)
        here.note_store()
        about = f"{made.name}: {made.kind}, instructions version {made.instruction_version}, {made.overlap} asked each"
        out().print(plain(f"{about}\n{client.url}/projects/{made.remote_id}"))


def push(
    project: Annotated[str, typer.Argument(help="The project's name.")],
    file: Annotated[Path | None, typer.Argument(help="JSON lines, one question each.")] = None,
    reports: Annotated[bool, typer.Option("--reports", help="Send what people reported in the chat.")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Mask addresses and numbers in reports.")] = False,
    corpus: Annotated[
        Path | None, typer.Option(help="Send passages of this corpus, the output folder of `corpuscle run`.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many passages.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Which passages: the same seed draws the same.")] = 0,
    draft_with: Annotated[
        str | None, typer.Option(metavar="ENDPOINT", help="Fill answers in with this model's: MODEL@URL.")
    ] = None,
    answers_from: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Let these two models answer the prompts of the file."),
    ] = None,
    also_from: Annotated[
        list[str] | None,
        typer.Option(metavar="C", help="A further model that answers, of rankings; may be repeated."),
    ] = None,
    gold: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions with the right verdict in `gold`, to mix in.")
    ] = None,
    gold_rate: Annotated[
        float, typer.Option(min=0, max=0.5, help="Gold questions among all: 0.05 is one in 20.")
    ] = 0.05,
    unsure_first: Annotated[
        str | None,
        typer.Option(metavar="ENDPOINT", help="First what this model answers differently each time it is asked."),
    ] = None,
    critiques_from: Annotated[
        str | None,
        typer.Option(metavar="ENDPOINT", help="Of comparisons: the model whose remarks stand beside the answers."),
    ] = None,
    opinions_from: Annotated[
        str | None,
        typer.Option(metavar="ENDPOINT", help="Of a second look at comparisons: the model whose choice is shown."),
    ] = None,
    folder: FolderOption = FOLDER,
    store: StoreOption = None,
) -> None:
    """Send tasks to a project: from a file, from the chat's reports, or from a corpus; never one twice.

    What the project had before is left out, so a stopped push is simply repeated. Without a source it sends what still
    waits; a project that reviews another takes its tasks from there. Keys of endpoints: CORPUSCLE_ENDPOINT_KEYS, as
    HOST=KEY. Reports are read from CORPUSCLE_STORE (sqlite:///corpuscle.db where it names none). The exit status is 1
    where no row of the files could be used.
    """
    here = folder_at(folder, store)
    from corpuscle.label.sources import Wanted, samples
    from labeling.drafts import Drafter, Endpoint
    from labeling.push import push as send
    from labeling.rows import Rejected, write_rejected
    from labeling.uncertainty import disagreement

    console = out()

    def say(text: str) -> None:
        console.print(plain(text))

    with ExitStack() as stack:
        client, database = stack.enter_context(here.client(tell)), stack.enter_context(here.database())
        found = project_on(database, client, project, say)

        def model(endpoint: str) -> Drafter:
            return stack.enter_context(Drafter(Endpoint.parse(endpoint)))

        several = [model(one) for one in (*(answers_from or ()), *(also_from or ()))]
        judge = model(opinions_from) if opinions_from else None
        critic = model(critiques_from) if critiques_from else None
        wanted = Wanted(file, reports, mask, corpus, count, seed, several, gold, judge, critic)
        usable = False

        def seen(found: "Iterator[Sample | Rejected | Known]") -> "Iterator[Sample | Rejected | Known]":
            nonlocal usable
            for one in found:
                usable = usable or not isinstance(one, Rejected)
                yield one

        bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
        sending = bar.add_task("sending", total=None)
        try:
            done = send(
                database,
                client,
                project,
                seen(samples(database, found, wanted, stack)),
                drafts=model(draft_with) if draft_with else None,
                gold_rate=gold_rate,
                uncertainty=disagreement(model(unsure_first), ASKED_AGAIN) if unsure_first else None,
                say=say,
                progress=lambda sent, total: bar.update(sending, completed=sent, total=total),
            )
        except KeyboardInterrupt:
            bar.stop()
            tell("stopped; the same command goes on from here, and sends nothing twice")
            raise typer.Exit(130) from None
    _print_pushed(console, done, gold is not None)
    if done.rejected:
        path = here.path / f"{project.replace('/', '-')}-rejected.jsonl"
        write_rejected(path, done.rejected)
        console.print(f"All rows that are no samples, with their reasons: {plain(str(path))}")
        if not usable and (file or gold):
            tell("error: of what was named nothing could be sent")
            raise typer.Exit(1)


def _print_pushed(console: Console, done: "Pushed", gold: bool) -> None:
    console.print(f"{done.pushed:,} sent" + (f", of them {done.gold:,} gold questions" if done.gold else ""))
    others = {
        "were there already": done.already,
        "had arrived with an earlier push": done.arrived,
        "without a draft, since the model gave none": done.undrafted.total(),
        "gold questions wait until more questions are sent for them to stand among": done.waiting_gold,
        "more gold questions would have been needed": done.missing_gold if gold else 0,
        "had been deleted in Label Studio, and are not sent again": done.deleted,
        "are in Label Studio twice": done.doubled,
        "were refused by Label Studio": len(done.refused),
        "rows are no samples": len(done.rejected),
    }
    for what, count in others.items():
        if count:
            console.print(f"{count:,} {what}")
    for reason, count in done.undrafted.most_common(SHOWN):
        console.print(plain(f"    no draft: {reason} ({count:,})"))
    for bad in done.rejected[:SHOWN]:
        console.print(plain(f"    {bad}"))
    for provenance, reason in done.refused[:SHOWN]:
        console.print(plain(f"    {provenance}: {reason}"))
