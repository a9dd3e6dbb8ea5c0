"""`corpuscle flywheel explain` and `status`: what led to what, and where the loop stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpuscle.flywheel.options import FOLDER, FolderOption, now, opened
from corpuscle.label.options import out
from corpuscle.outputs import PAGE, check_own
from corpuscle.terminal import plain

if TYPE_CHECKING:
    from flywheel.explain.graph import Branch, Fact


def explain(
    target: Annotated[
        str,
        typer.Argument(
            help="The id of a report, misbehaviour, cluster, sample, correction, dataset, run, checkpoint, verdict, "
            "corpus or traced page, or six characters of it; 'run 8f14e4' where several are alike; the folder of a run "
            "or checkpoint; or a page's address."
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="However long it is; else ten of a kind below each other thing.")
    ] = False,
    folder: FolderOption = FOLDER,
) -> None:
    """Tell the chain in both directions: from a report to the checkpoint that mended it, from a page of the corpus to
    the steps and checkpoints that have read it, and back.

    What the pipeline did to a page is told by `corpuscle explain`.
    """
    from flywheel.explain.explain import explain as find
    from flywheel.explain.graph import shortened

    with opened(folder) as (config, database, _):
        found = find(database, config, target, now())
    console = out()

    def tell(title: str, branches: "tuple[Branch, ...]") -> None:
        console.print(title if branches else f"{title} nothing")
        for depth, fact in branches if everything else shortened(branches, 10):
            console.print(_seen(f"{'  ' * depth}{fact if isinstance(fact, str) else _line(fact)}"))

    console.print(_seen(_line(found.fact)))
    tell("comes from", found.came_from)
    tell("led to", found.led_to)


def _line(fact: "Fact") -> str:
    at = "" if fact.at is None else f", {fact.at:%Y-%m-%d %H:%M}"
    return f"{fact.kind} {fact.id if len(fact.id) <= 36 else fact.id[:12]}{at}: {fact.says}"


def status(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A page (HTML) with the same.")] = None,
    folder: FolderOption = FOLDER,
) -> None:
    """Tell what each step has, what waits for whom and how long, how often each cluster was met, and what is live."""
    from flywheel.status.lines import told
    from flywheel.status.standing import standing

    if output is not None:
        check_own(output, PAGE, "page")
    with opened(folder) as (config, database, _):
        found = standing(database, config, now())
    console = out()
    for line in told(found):
        console.print(_seen(line))
    if output is not None:
        from flywheel.status.page import write

        write(output, found)
        console.print(plain(str(output)))


def _seen(text: str) -> str:
    """A line for a terminal, with what is invisible in people's words or a model's named."""
    from pipeline.poison.visible import visible

    return plain(visible(text))
