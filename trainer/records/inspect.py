"""`corpuscle train inspect DATA --model MODEL`: what a model will read of training data, and what it learns to write.

A lost mask trains on the wrong half of the tokens and shows in no loss curve; here it is seen before the run.
"""

import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

from rich.cells import chop_cells
from rich.console import Console
from rich.text import Text

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.reader import ShardSet
from trainer.checkpoint import ABOUT, INDEX, find, read_about, vocabulary_of
from trainer.command import Parser, guarded
from trainer.records import Demonstration, Prompt, Ranking, Record, Records
from trainer.records.read import KINDS, READERS, kind_of
from trainer.records.rows import Row, find_files, read_rows
from trainer.talk.conversation import Encoded, Template, read_template

TRAINED, READ = "bold green", "dim"
BARS = "▁▂▃▄▅▆▇█"
JOINERS = "\u200c\u200d"
"""Invisible, but Persian, Hindi and emoji are spelt with them."""


@dataclass(frozen=True)
class View:
    """One sequence as the trainer sees it: for a ranking each answer behind the prompt, with what there is to say."""

    title: str
    encoded: Encoded


@dataclass(frozen=True)
class Line:
    """A line to show: a control symbol's name, or a line of text."""

    trained: bool
    symbol: str = ""
    text: str = ""


def views(record: Record, template: Template) -> list[View]:
    """What is trained on is the answer: of a reward model or DPO it is what the score or the loss is of."""
    if isinstance(record, Demonstration):
        return [View("", template.encode(record.messages))]
    if isinstance(record, Ranking):
        return [
            View(f"rank {rank} of {record.ranks[-1]}", template.encode((*record.prompt, *completion)))
            for rank, completion in zip(record.ranks, record.completions, strict=True)
        ]
    if isinstance(record, Prompt):
        tokens = template.prompt(record.messages)
        title = "no right answer known" if record.answer is None else f"right answer: {visible(record.answer)}"
        return [View(title, Encoded(tokens, [False] * len(tokens)))]
    return [View("good" if record.good else "bad", template.encode((*record.prompt, *record.completion)))]


def lines(encoded: Encoded, tokenizer: Tokenizer) -> Iterator[Line]:
    """The tokens as lines, each of them trained or read as a whole: control symbols part the runs of either."""
    names = {id: name for name, id in tokenizer.controls.items()}
    pairs = zip(encoded.tokens, encoded.trained, strict=True)
    for (control, trained), run in groupby(pairs, key=lambda pair: (pair[0] in names, pair[1])):
        tokens = [token for token, _ in run]
        if control:
            yield from (Line(trained, symbol=names[token]) for token in tokens)
        else:
            yield from (Line(trained, text=visible(line)) for line in tokenizer.decode(tokens).split("\n"))


def visible(text: str) -> str:
    """The text without a character that could steer a terminal, turn a line round or hide: they are spelt out."""
    return "".join(map(_visible, text))


def show(view: View, tokenizer: Tokenizer, console: Console) -> None:
    """Prints a sequence: `+` before what is trained, names of control symbols bare, text behind a bar.

    No text can look like a control symbol, with colours or without: only text has the bar, and it always does.
    """
    for line in lines(view.encoded, tokenizer):
        style, mark = (TRAINED, "+") if line.trained else (READ, " ")
        if line.symbol:
            console.print(Text.assemble((f"{mark} ", style), (line.symbol, f"{style} reverse")))
            continue
        # A terminal would go on in the first column, where symbols stand; so long lines are cut here, and marked.
        parts = chop_cells(line.text, max(20, console.width - 4)) if console.is_terminal else [line.text]
        for place, part in enumerate(parts or [""]):
            console.print(Text(f"{mark} {'┊' if place else '│'} {part}", style))


def histogram(lengths: Iterable[int]) -> str:
    """Counts by powers of two, in one line."""
    bins = Counter((length - 1).bit_length() for length in lengths)
    most = max(bins.values())
    return " · ".join(
        f"≤{1 << power:,} {BARS[(len(BARS) - 1) * bins[power] // most] if bins[power] else ' '} {bins[power]:,}"
        for power in range(min(bins), max(bins) + 1)
    )


def inspect(data: Sequence[Path], model: Path, kind: str | None, rows: int, console: Console) -> None:
    """Prints the first `rows` records and the figures of all. Raises ValueError or OSError that says what is wrong."""
    template, context = _model(model)
    tokenizer = template.tokenizer
    kind = kind or _kind(data)
    records: Records[Record] = READERS[kind](data, skip_bad=True)
    lengths, trained, masked = [], 0, 0
    for number, record in enumerate(records, 1):
        for view in views(record, template):
            learnt = sum(view.encoded.trained)
            lengths.append(len(view.encoded.tokens))
            trained += learnt
            masked += not any(view.encoded.trained[:context])
            if number <= rows:
                title = " · ".join(
                    filter(None, [f"{number:,}", view.title, f"{lengths[-1]:,} tokens, {learnt:,} trained"])
                )
                console.print(Text(title, "bold"))
                show(view, tokenizer, console)
                console.print()
    say = console.print
    say(f"{len(records):,} {kind}: {sum(lengths):,} tokens, {trained:,} trained ({trained / sum(lengths):.0%})")
    say(f"tokens a sequence: {histogram(lengths)} · median {median(lengths):,.0f}, most {max(lengths):,}")
    if context is not None:
        longer = sum(length > context for length in lengths)
        say(f"longer than the model's context of {context:,}: {longer:,} of {len(lengths):,}")
    if kind != "prompts":
        where = "" if context is None else " in the context"
        say(f"without a trained token{where}: {masked:,} of {len(lengths):,}")
    if records.duplicates:
        say(f"duplicates, read once: {records.duplicates:,}")
    if records.rejected:
        say(f"left out: {len(records.rejected):,} that cannot be used; the first: {records.rejected[0]}")
    for note in records.notes:
        say(f"note: {note}")


def _model(path: Path) -> tuple[Template, int | None]:
    """By the vocabulary of a checkpoint or a corpus, and the model's context in tokens where it is a checkpoint."""
    if (path / ABOUT).exists() or (path / INDEX).exists():
        folder = find(path)
        about = read_about(folder)
        return read_template(vocabulary_of(folder, about)), about.model.max_seq_len
    try:
        return read_template(ShardSet(path).vocabulary.path), None
    except FileNotFoundError:
        message = f"{path} holds neither a checkpoint nor a corpus; name a training run's output, or a corpus's folder"
        raise FileNotFoundError(message) from None


def _kind(data: Sequence[Path]) -> str:
    for file in find_files(data):
        for row in read_rows(file):
            if isinstance(row, Row) and (kind := kind_of(row.fields)):
                return kind
    raise ValueError(f"{data[0]}: no row has the columns of {', '.join(KINDS)}; `corpuscle train convert` may help")


def _visible(character: str) -> str:
    code = ord(character)
    category = unicodedata.category(character)
    if code < 0x20 or code == 0x7F:
        return chr(0x2421 if code == 0x7F else 0x2400 + code)  # the picture of it: ␛
    hidden = category in ("Cc", "Cf", "Zl", "Zp") and character not in JOINERS
    return f"<U+{code:04X}>" if hidden else character


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 0, or 1 where there is nothing to show."""
    about = "Show training data as the model reads it: what is trained is green and has a + before it."
    example = "Example: corpuscle train inspect demonstrations.jsonl --model model"
    parser = Parser("corpuscle train inspect", about, "%(prog)s DATA... --model MODEL [OPTIONS]", example)
    parser.add_argument("data", type=Path, nargs="+", metavar="DATA", help="JSONL or Parquet files, or a folder")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint or a corpus: its vocabulary is used")
    parser.add_argument("--kind", choices=KINDS, help="what the rows are; else told from the first one's columns")
    parser.add_argument("--rows", type=int, default=3, help="how many records to show")
    options = parser.parse_args(arguments)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    return guarded(
        lambda _: inspect(options.data, options.model, options.kind, options.rows, console), lambda: "stopped."
    )


if __name__ == "__main__":
    sys.exit(main())
