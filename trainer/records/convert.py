"""`corpuscle train convert IN OUT`: training data from elsewhere, rewritten as the JSONL that `trainer.records` reads.

Each record is read before it is written, so every line of the output can be; a row that is not as it should be is
left out and named.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from trainer.command import Parser, guarded
from trainer.records.forms import FORMS
from trainer.records.read import KINDS, SHOWN, kind_of, reject
from trainer.records.rows import DEFAULT, Limits, Rejected, Row, find_files, read_rows

LOOKED_AT = 50
"""Rows from which the form is told."""


@dataclass(frozen=True)
class Converted:
    """What became of a file: its form, the kind of records (`KINDS`), how many rows and records, what was left out."""

    form: str
    kind: str
    rows: int
    records: int
    rejected: tuple[Rejected, ...]


def convert(source: Path, output: Path, form: str | None = None, limits: Limits = DEFAULT) -> Converted:
    """Writes the records of `source` to `output`, whole or not at all. The form is told from the first rows.

    Raises ValueError where no form is theirs, or where no row could be converted.
    """
    if output.suffix != ".jsonl":
        raise ValueError(f"{output}: what is written is JSONL; give a name that ends in .jsonl")
    if output.resolve() == source.resolve():
        raise ValueError(f"{output} is the input itself; give another name")
    if source.is_dir():
        raise ValueError(f"{source} is a folder; convert its files one by one")
    find_files(source)  # says what is wrong with the name
    form = form or detect(source, limits)
    kind, rows, written = "", 0, 0
    rejected: list[Rejected] = []
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = output.with_name(f".{output.name}.part")
    try:
        # Written as they come and not by `write_whole`, so that a file of gigabytes needs no memory.
        with fresh.open("w", encoding="utf-8", newline="\n") as out:
            for row in read_rows(source, limits):
                rows += 1
                if isinstance(row, Rejected):
                    rejected.append(row)
                    continue
                try:
                    records = list(FORMS[form].rewrite(row.fields))
                    kind = _check(records, kind, limits)
                    lines = [json.dumps(one, ensure_ascii=False, allow_nan=False, default=str) for one in records]
                except (KeyError, TypeError, AttributeError) as error:
                    rejected.append(reject(row, ValueError(_reason(error, form))))
                except (ValueError, RecursionError) as error:
                    rejected.append(reject(row, error))
                else:
                    out.writelines(f"{line}\n" for line in lines)
                    written += len(lines)
            out.flush()
            os.fsync(out.fileno())
        if not written:
            raise ValueError(f"no row could be converted as {form}; the first: {rejected[0]}")
        fresh.replace(output)
    finally:
        fresh.unlink(missing_ok=True)
    return Converted(form, kind, rows, written, tuple(rejected))


def detect(source: Path, limits: Limits = DEFAULT) -> str:
    """The form that most of the first rows have. Raises ValueError where none of them has one."""
    looked_at = list(islice(read_rows(source, limits), LOOKED_AT))
    rows = [row for row in looked_at if isinstance(row, Row)]
    if not rows:
        raise ValueError(str(looked_at[0]))
    counts = {name: sum(form.matches(row.fields) for row in rows) for name, form in FORMS.items()}
    likeliest = max(counts, key=lambda name: counts[name])
    if not counts[likeliest]:
        columns = ", ".join(repr(name[:40]) for name in list(rows[0].fields)[:12])
        raise ValueError(f"{source}: rows with the columns {columns} are of no form that is known ({', '.join(FORMS)})")
    return likeliest


def _check(records: list[Mapping[str, Any]], kind: str, limits: Limits) -> str:
    """Reads the records as the trainer will; returns their kind, which is that of the file's others."""
    if not records:
        raise ValueError("nothing in it to learn from")
    for record in records:
        this = kind_of(record) or "no kind"
        if this not in KINDS or (kind and kind != this):
            raise ValueError(f"a row of {this} among rows of {kind or ', '.join(KINDS)}; a file holds one kind")
        kind = this
        KINDS[kind](record, limits)
    return kind


def _reason(error: Exception, form: str) -> str:
    missing = isinstance(error, KeyError)
    return f"no {error.args[0]!r}, which a row of {form} has" if missing else f"not as a row of {form} is ({error})"


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 0, or 1 where nothing was written."""
    about = "Rewrite training data from elsewhere as the JSONL that the trainer reads."
    example = "Example: corpuscle train convert sharegpt.json demonstrations.jsonl"
    parser = Parser("corpuscle train convert", about, "%(prog)s IN OUT [OPTIONS]", example)
    parser.add_argument("input", type=Path, metavar="IN", help="JSONL, a JSON array (both also .gz), or Parquet")
    parser.add_argument("output", type=Path, metavar="OUT", help="the .jsonl file to write")
    parser.add_argument("--from", dest="form", choices=FORMS, help="the form of IN; else told from its first rows")
    options = parser.parse_args(arguments)

    def run(_: Console) -> None:
        done = convert(options.input, options.output, options.form)
        good = f"{done.rows - len(done.rejected):,} of {done.rows:,} rows"
        print(f"{options.input}: {good} ({done.form}) -> {done.records:,} {done.kind} in {options.output}")
        for row in done.rejected[:SHOWN]:
            print(f"left out: {row}", file=sys.stderr)
        if len(done.rejected) > SHOWN:
            print(f"left out: {len(done.rejected) - SHOWN:,} more", file=sys.stderr)

    return guarded(run, lambda: "stopped; nothing was written.")


if __name__ == "__main__":
    sys.exit(main())
