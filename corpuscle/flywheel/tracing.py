"""`corpuscle flywheel trace` and `block`: the pages that taught a misbehaviour, and the list that keeps them out."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpuscle.flywheel.options import FOLDER, FolderOption, JsonOption, now, opened, say
from corpuscle.label.options import out, tell
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
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Find the pages from which a misbehaviour was learnt, if it looks so, and ask people about them.

    Pages that hold the answer word for word come first, then those that turn into it behind rare words of the prompt,
    then those that say much the same. They become tasks of the project that flywheel.yaml names under `trace`; what
    people confirm, `corpuscle flywheel block` writes as a block list.
    """
    with opened(folder) as (config, database, labels), ExitStack() as stack:
        from flywheel.trace.steps import page_reading
        from flywheel.trace.told import found, review
        from flywheel.trace.trace import trace as find

        client = stack.enter_context(labels.client(tell)) if labels.connection_file.exists() else None
        traced = find(database, config, now(), target, corpus)
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


def block(
    output: Annotated[Path, typer.Option("--output", "-o", help="The list to write.")],
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Write the pages that people confirmed as a block list.

    Name the file in the recipe under `poison: block:` and run the recipe again: the pages are removed with the reason
    `blocked`, and with them the copies that would come in their place.
    """
    with opened(folder) as (config, database, _):
        from flywheel.steps import Step
        from flywheel.trace.review import decided, write_block_list
        from pipeline.report.numbers import plural

        decided(database, config, now())
        done = write_block_list(database, output)
        said = f"{plural(done.pages, 'page')} and {plural(done.copies, 'copy', 'copies')} in {output}"
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
    console.print(plain(f"    …{before}>>>{span}<<<{behind}…"))
