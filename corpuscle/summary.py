"""What a command prints at its end: a table of the steps, or a document's history."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from corpuscle.terminal import plain
from pipeline.explain import Story

REASONS_SHOWN = 4


def print_summary(manifest: dict[str, Any], folder: str) -> None:
    """The steps with their counts and commonest reasons, and the shards."""
    console = Console()
    table = Table(title=Text(f"{manifest['run']['recipe']}: {folder}"), title_justify="left")
    for name in ("step", "read", "kept", "removed", "quarantined", "commonest reasons"):
        table.add_column(name, justify="left" if name in ("step", "commonest reasons") else "right")
    for step, entry in manifest["steps"].items():
        if step in ("measure", "vocabulary", "encode", "tokenize"):
            continue
        counts = entry["counts"]
        reasons = sorted(entry["reasons"].items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{reason} {count:,}" for reason, count in reasons[:REASONS_SHOWN])
        more = f", {len(reasons) - REASONS_SHOWN} more" if len(reasons) > REASONS_SHOWN else ""
        numbers = (f"{counts.get(name, 0):,}" for name in ("read", "kept", "removed", "quarantined"))
        table.add_row(step, *numbers, Text(shown + more))
    console.print(table)
    totals = manifest["counts"]
    shards = manifest["shards"]
    console.print(
        f"{totals['read']:,} records read = {totals['kept']:,} kept + {totals['removed']:,} removed "
        f"+ {totals['held']:,} held + {totals['quarantined']:,} quarantined "
        f"({totals['ignored']:,} of other kinds ignored)"
    )
    console.print(f"{totals['tokens']:,} tokens in {len(shards)} shards under {folder}/tokenize", markup=False)
    if not totals["kept"]:
        console.print(
            "No document was kept, so there is nothing to train on: the reasons above say where they went.",
            style="bold",
        )


def print_story(story: Story) -> None:
    """A document's history, as lines."""
    console = Console(markup=False, highlight=False, soft_wrap=True)

    def say(line: str) -> None:
        console.print(plain(line))

    if story.token is not None:
        token = story.token
        console.print(
            f"token      {token.shard}:{token.position} = {token.piece!r}, number {token.offset} of its document"
        )
        say(f"around it  {token.around!r}")
    for name, value in story.lineage.items():
        if value is not None:
            say(f"{name:<16} {value.hex() if isinstance(value, bytes) else value}")
    if story.record:
        say(f"{'record':<16} {story.record}")
    for station in story.stations:
        because = f": {station.reason}" if station.reason else ""
        twin = f"; kept instead: {station.twin}, similarity {station.similarity:.3f}" if station.twin else ""
        say(f"{station.step:<16} {station.outcome}{because}{twin}")
        for name, value in station.measures.items():
            if name.startswith(("language",)) or station.outcome == "removed":
                say(f"    {name} = {value:.4g}" if isinstance(value, float) else f"    {name} = {value}")
    if story.tokens:
        say(f"{'tokens':<16} {story.tokens}")
    console.print()
