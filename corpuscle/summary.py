"""What a command prints at its end: a table of the steps, or a document's history."""

import shlex
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from corpuscle.terminal import Unbroken, plain
from pipeline.document import unpack_address
from pipeline.explain import Story
from pipeline.manifest import read_manifest
from pipeline.poison.ledger import has_ledger
from pipeline.poison.lists import read_decided
from pipeline.poison.unmatched import unmatched
from pipeline.recipe import Poison
from pipeline.report.numbers import plural
from pipeline.report.removals import read_quarantine
from pipeline.report.tables import Corpus

OUTCOMES = ("read", "kept", "removed", "held", "quarantined")
UNSEEN = ("measure", "textmodel", "inspect", "vocabulary", "encode", "tokenize")
"""Steps that keep every document, or read none."""
REASONS_SHOWN = 4
UNREADABLE_SHOWN = 5
UNMATCHED_SHOWN = 3


def print_summary(manifest: dict[str, Any], folder: str, poison: Poison | None = None) -> None:
    """The steps with their counts and commonest reasons, and the shards; of `poison`, the files that people wrote."""
    console = Unbroken(markup=False, highlight=False, soft_wrap=True)
    table = Table(title=Text(f"{manifest['run']['recipe']}: {folder}"), title_justify="left")
    for name in ("step", *OUTCOMES, "commonest reasons"):
        table.add_column(name, justify="left" if name in ("step", "commonest reasons") else "right")
    for step, entry in manifest["steps"].items():
        if step in UNSEEN:
            continue
        counts = entry["counts"]
        reasons = sorted(entry["reasons"].items(), key=lambda item: (-item[1], item[0]))
        # A line a reason: a table of 80 columns breaks a longer line in the middle of a phrase.
        shown = "\n".join(f"{reason} {count:,}" for reason, count in reasons[:REASONS_SHOWN])
        more = f"\n{plural(len(reasons) - REASONS_SHOWN, 'more reason')}" if len(reasons) > REASONS_SHOWN else ""
        numbers = (f"{counts.get(name, 0):,}" for name in OUTCOMES)
        table.add_row(step, *numbers, Text(shown + more))
    console.print(table, soft_wrap=False)
    totals = manifest["counts"]
    shards = manifest["shards"]
    console.print(
        f"{plural(totals['read'], 'record')} read = {totals['kept']:,} kept + {totals['removed']:,} removed "
        f"+ {totals['held']:,} held + {totals['quarantined']:,} quarantined "
        f"({totals['ignored']:,} of other kinds ignored)"
    )
    console.print(f"{plural(totals['tokens'], 'token')} in {plural(len(shards), 'shard')} under {folder}/tokenize")
    if totals["held"]:
        command = f"corpuscle poison held {shlex.quote(folder)} --output held.jsonl"
        console.print(plain(f"{totals['held']:,} held until a person decides: {command}"))
    if poison is not None:
        _print_unmatched(console, folder, poison)
    _print_unread(console, manifest, folder)
    if not totals["kept"]:
        console.print(
            "No document was kept, so there is nothing to train on: the reasons above say where they went.",
            style="bold",
        )


def _print_unmatched(console: Console, folder: str, poison: Poison) -> None:
    """Entries of the recipe's lists, and verdicts, that name no document: slips of the pen, pages of other crawls."""
    corpus = Corpus(folder)
    if not has_ledger(corpus):
        return
    decided = read_decided(poison.block, poison.allow, poison.decisions)
    for name, found in unmatched(corpus, decided).items():
        if found.unmatched:
            more = len(found.unmatched) - UNMATCHED_SHOWN
            shown = ", ".join(found.unmatched[:UNMATCHED_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
            of = f"{len(found.unmatched):,} of {plural(found.entries, 'entry', 'entries')}"
            console.print(plain(f"poison.{name}: no document came to the poison filter for {of}: {shown}"))


def _print_unread(console: Console, manifest: dict[str, Any], folder: str) -> None:
    """What could not be read, and archives that gave nothing: each with its file and the reason."""
    if totals := manifest["counts"]["quarantined"]:
        found = read_quarantine(Corpus(folder))
        console.print(f"{totals:,} could not be read:", style="bold")
        first = sorted(found.first, key=lambda unreadable: (unreadable.warc_file, unreadable.offset))
        for unreadable in first[:UNREADABLE_SHOWN]:
            where = f"{unreadable.warc_file}, byte {unreadable.offset:,}"
            console.print(plain(f"  {where}: {unreadable.reason}: {unreadable.error}"))
        if totals > UNREADABLE_SHOWN:
            steps = (step for step, entry in manifest["steps"].items() if entry["counts"].get("quarantined"))
            places = " and ".join(f"{folder}/{step}/quarantine" for step in steps)
            console.print(f"  {totals - UNREADABLE_SHOWN:,} more: {places}")
    inputs = (read_manifest(folder, "index") or {}).get("inputs", [])
    barren = [archive for archive in inputs if not archive["records"]]
    for archive in barren[:UNREADABLE_SHOWN]:
        console.print(plain(f"{archive['warc_file']}: no page in it ({archive['bytes']:,} bytes)"))
    if len(barren) > UNREADABLE_SHOWN:
        console.print(f"{plural(len(barren) - UNREADABLE_SHOWN, 'more archive')} without a page")


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
        if name == "address" and value is not None:
            place = unpack_address(value)
            say(f"{name:<16} {value} (in this run: record {place.row} of input number {place.file}, counted from 0)")
        elif value is not None:
            say(f"{name:<16} {value.hex() if isinstance(value, bytes) else value}")
    if story.record:
        say(f"{'record':<16} {story.record}")
    for station in story.stations:
        because = f": {station.reason}" if station.reason else ""
        twin = f"; kept instead: {station.twin}, similarity {station.similarity:.3f}" if station.twin else ""
        tags = f"; tags: {', '.join(station.tags)}" if station.tags else ""
        say(f"{station.step:<16} {station.outcome}{because}{twin}{tags}")
        if station.because:
            say(f"    {station.because}")
        for name, value in station.measures.items():
            if station.step == "extract" or station.outcome == "removed":
                mark = " <--" if name == station.decisive else ""
                say(f"    {name} = {f'{value:.4g}' if isinstance(value, float) else value}{mark}")
    if story.tokens:
        say(f"{'tokens':<16} {story.tokens}")
    console.print()
