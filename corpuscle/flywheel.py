"""`corpuscle flywheel`: the loop from what a model did wrong to a better one, a step at a time or all at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpuscle.label.options import folder_at, out
from corpuscle.terminal import plain

if TYPE_CHECKING:
    from flywheel.config import Config
    from flywheel.explain import Branch, Fact
    from labeling.store.database import Database

app = typer.Typer(
    no_args_is_help=True,
    help="Close the loop: collect misbehaviours, have them corrected, train, judge, and promote what is better.",
    epilog="`tick` does in turn what is to be done; run it from cron. The settings are in flywheel.yaml in the folder.",
)

FolderOption = Annotated[Path, typer.Option("--folder", help="Where flywheel.yaml is, and what the loop makes.")]
FOLDER = Path("loop")


@contextmanager
def _opened(folder: Path) -> Iterator[tuple["Config", "Database"]]:
    """The settings and the store. Raises ConfigError, StoreError."""
    from flywheel.config import load

    config = load(folder)
    with folder_at(config.labels, config.store).database() as database:
        yield config, database


def _now() -> datetime:
    return datetime.now(UTC)


@app.command(
    short_help="Tell what led to something, and what it led to.",
    epilog="Example: corpuscle flywheel explain 8f14e4",
)
def explain(
    target: Annotated[
        str,
        typer.Argument(
            help="The id of a report, misbehaviour, cluster, sample, correction, dataset, run, checkpoint or verdict, "
            "or six characters of it; 'run 8f14e4' where several are alike; or a run's folder."
        ),
    ],
    folder: FolderOption = FOLDER,
) -> None:
    """Tell the chain in both directions: from a report to the checkpoint that mended it, and back.

    A page's history is told by `corpuscle explain`.
    """
    from flywheel.explain import explain as find

    with _opened(folder) as (_, database):
        found = find(database, target)
    console = out()

    def tell(title: str, branches: "tuple[Branch, ...]") -> None:
        console.print(title if branches else f"{title} nothing")
        for depth, fact in branches:
            console.print(plain(f"{'  ' * depth}{_line(fact)}"))

    console.print(plain(_line(found.fact)))
    tell("comes from", found.came_from)
    tell("led to", found.led_to)


def _line(fact: "Fact") -> str:
    at = "" if fact.at is None else f", {fact.at:%Y-%m-%d %H:%M}"
    return f"{fact.kind} {fact.id if len(fact.id) <= 36 else fact.id[:12]}{at}: {fact.says}"


@app.command(short_help="Tell where the loop stands.", epilog="Example: corpuscle flywheel status --output loop.html")
def status(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page (HTML) with the same.")] = None,
    folder: FolderOption = FOLDER,
) -> None:
    """Tell what each step has, what waits for whom and how long, how often each cluster was met, and what is live."""
    from flywheel.status import standing, told

    with _opened(folder) as (_, database):
        found = standing(database, _now())
    console = out()
    for line in told(found):
        console.print(plain(line))
    if output is not None:
        from flywheel.status_page import write

        write(output, found)
        console.print(plain(str(output)))
