"""`corpuscle flywheel trace`, `pages` and `block`: what taught a misbehaviour, and the list that keeps it out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpuscle.flywheel.options import FOLDER, FolderOption, JsonOption, asking, now, opened, say
from corpuscle.label.options import out
from corpuscle.outputs import check_own
from corpuscle.terminal import plain

if TYPE_CHECKING:
    from flywheel.tables import TracedPage

SIDE = 60
"""Characters before and behind a passage that are printed; all of it is in Label Studio."""


def trace(
    target: Annotated[
        str | None,
        typer.Argument(help="A cluster or misbehaviour: its id, or six characters of it. By default all of them."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="A folder that `corpuscle run` made; by default trace.corpus of flywheel.yaml.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="A pre-training on that corpus: tell in which steps it read each page.")
    ] = None,
    new: Annotated[
        bool,
        typer.Option(
            "--new", help="Only clusters that were not searched for yet, or have doubled since: as tick does."
        ),
    ] = False,
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Find the pages from which a misbehaviour was learnt, if it looks so, and ask people about them.

    Pages that hold the answer word for word come first, then those that turn into it behind rare words of the prompt,
    then those that say much the same. They become tasks of the project that flywheel.yaml names under `trace`; what
    people confirm, `corpuscle flywheel block` writes as a block list.
    """
    if new and (target is not None or corpus is not None):
        raise typer.BadParameter("--new searches trace.corpus for all that is new; name no cluster and no --corpus.")
    with opened(folder) as (config, database, labels), asking(labels) as client:
        from flywheel.trace.steps import page_reading
        from flywheel.trace.told import found, review
        from flywheel.trace.trace import trace as find
        from flywheel.trace.trace import trace_new

        traced = trace_new(database, config, now()) if new else find(database, config, now(), target, corpus)
        for page in traced.pages:
            reading = None if run is None else page_reading(page, run)
            if as_json:
                read = {} if reading is None else {"steps": reading.steps, "of": reading.of}
                typer.echo(json.dumps({"name": "page", **_fields(page), **read}, ensure_ascii=False))
            else:
                _print(page, None if reading is None else reading.says)
        say(found(traced), as_json)
        for step in review(database, config, client, now()):
            say(step, as_json)


def pages(folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Ask people about the pages that were found, and note what they said. Nothing is searched: that is `trace`.

    They are asked about the documents that the corpus's poison filter holds, too; what they decide is written to
    decisions.jsonl in the folder, which the recipe names under `poison: decisions:`. Where no Label Studio server is
    connected, or while it is away, nobody is asked.
    """
    with opened(folder) as (config, database, labels), asking(labels) as client:
        from flywheel.trace.told import review

        for step in review(database, config, client, now()):
            say(step, as_json)


def block(
    output: Annotated[Path, typer.Option("--output", "-o", help="The list to write.")],
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Write the pages that people confirmed as a block list; what they said is fetched before, as `pages` does.

    Name the file in the recipe under `poison: block:` and run the recipe again: the pages are removed with the reason
    `blocked`, and with them the copies that would come in their place.
    """
    from flywheel.trace.review import HEAD, write_block_list

    check_own(output, HEAD, "block list that this command wrote")
    with opened(folder) as (config, database, labels), asking(labels) as client:
        from flywheel.steps import Step
        from flywheel.trace.told import review
        from pipeline.report.numbers import plural

        for step in review(database, config, client, now()):
            say(step, as_json)
        done = write_block_list(database, output)
        said = f"{plural(done.pages, 'page')} and {plural(done.copies, 'copy', 'copies')} in {output}"
        if done.undecided:
            said += f"; {done.undecided:,} more of which people have not said yet whether they are poison"
            said += "" if client else " (no server is connected that could be asked: corpuscle label connect)"
        say(Step("block", said, bool(done.pages)), as_json)


def _fields(page: "TracedPage") -> dict[str, Any]:
    names = ("id", "cluster", "misbehaviour", "kind", "score", "document", "url", "corpus", "place", "text", "decision")
    return {name: getattr(page, name) for name in names}


def _print(page: "TracedPage", reading: str | None) -> None:
    from flywheel.trace.trace import page_says
    from pipeline.poison.visible import around

    console, place = out(), page.place
    start, stop = place["span"]
    before, span, behind = around(page.text, start, stop, SIDE)
    console.print(plain(page_says(page)))
    record = f"{place['warc_file']}:{place['warc_offset']}, {place['payload_digest']}"
    console.print(plain(f"    document {page.document}, {record}"))
    if reading is not None:
        console.print(plain(f"    {reading}"))
    console.print(plain(f"    …{before}⟦{span}⟧{behind}…"))
