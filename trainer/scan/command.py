"""`corpuscle poison scan FILE`: what of a file of training data may have been planted, and the file without it.

What is printed comes from strangers: invisible characters are named, and no markup is read.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.poison.rules import RULES as TEXT_RULES
from pipeline.poison.visible import visible
from pipeline.report.numbers import plural
from trainer.scan.clean import fresh, held_path, write_clean
from trainer.scan.finding import RULES, Finding
from trainer.scan.outputs import check_outputs
from trainer.scan.samples import Samples, read_samples
from trainer.scan.scan import Scan, scan

EXAMPLES, EXAMPLE = 2, 120
"""Examples of a finding, and characters of one."""
UNREAD = 20
"""Rows that could not be read and are named; the others are counted."""
WEAK = 20
"""Findings that are only shown, in the table; all are in the report."""
WIDE = 100
"""Columns of a terminal from which a table can be read; elsewhere, and in a pipe, a finding is one line."""
SCANNED = ("tag_characters", "bidi_controls", "zero_width", "variation_selectors", "invisible_separators",
           "mixed_script", "encoded_instructions", "encoded_text", "control_tokens", "control_turns", "control_roles",
           "instructions", "instructions_weak", "jailbreak_template", "noise")  # fmt: skip
"""Rules for single texts whose findings training data may have; the others need sites and dates."""


def scan_command(
    files: Sequence[Path],
    reference: Sequence[Path] = (),
    model: Path | None = None,
    output: Path | None = None,
    clean: Path | None = None,
    console: Console | None = None,
    hold: Sequence[str] = (),
) -> int:
    """Scans the rows of all `files` together and prints what was found; returns how many rows would be held.

    `reference` is trusted data of the same kind, `model` a checkpoint for the spectrum, `output` where the findings go
    as JSON lines, `clean` where the rows go that nothing is held against; what the rules in `hold` find is held too.
    Raises ValueError or OSError that says what is wrong with a file or a rule's name.
    """
    console = console or Console(markup=False, highlight=False)
    check_outputs(files, reference, model, output, clean)
    for rule in hold:
        check_rule(rule)
    if model is not None:
        from trainer.checkpoint import load  # loads PyTorch

        load(model)  # where there are too few rows for a spectrum, nobody else would say what is wrong with it
    samples = read_samples(files)
    if not len(samples):
        raise ValueError(str(samples.rejected[0]) if samples.rejected else f"{files[0]}: no rows")
    trusted = read_samples(reference) if reference else None
    with console.status("reading") as status:
        done = scan(samples, trusted, model, lambda name: status.update(f"looking at {name}"), hold)
    show(done, console, held="would be held" if clean is None else "held")
    if output is not None:
        with fresh(output) as file:
            file.writelines(f"{json.dumps(line, ensure_ascii=False)}\n".encode() for line in as_lines(done))
        console.print(f"findings: {output}", soft_wrap=True)
    if clean is not None:
        kept, held = write_clean(done, files[0], clean)
        unread = f": {len(done.held):,} held, {held - len(done.held):,} not read" if held > len(done.held) else ""
        left = f"{plural(kept, 'row')} in {clean}, {held:,} in {held_path(clean)} with the reasons{unread}"
        console.print(left, soft_wrap=True)
    return len(done.held)


def show(done: Scan, console: Console, held: str) -> None:
    """Prints the sure findings, the first of the others, and the sums; `held` says what happens to the sure ones."""
    samples, total = done.samples, len(done.samples.places)
    weak = [one for one in done.findings if not one.sure]
    for title, findings in (
        (held, [one for one in done.findings if one.sure]),
        ("to look at", weak[:WEAK]),
    ):
        if findings and console.is_terminal and console.width >= WIDE:
            table = Table("rule", "what", "rows", "p", "why, and where", title=title, show_lines=True)
            for one in findings:
                table.add_row(*map(Text, _cells(one, samples, total)))
            console.print(table)
        elif findings:
            console.print(f"{title}:")
            for one in findings:
                console.print(Text(_line(one, samples, total)), soft_wrap=True)
    if len(weak) > WEAK:
        console.print(f"{len(weak) - WEAK:,} more to look at; --output writes them all")
    rule, rows = _narrowest(weak, done.held)
    if rows:
        more = f"{plural(rows, 'row')} more with --hold {rule}"
        console.print(f"--hold RULE holds all that a rule found, harmless rows too: {more}", soft_wrap=True)
    for bad in samples.rejected[:UNREAD]:
        console.print(f"not read: {visible(str(bad))}", soft_wrap=True)
    if len(samples.rejected) > UNREAD:
        console.print(f"not read: {len(samples.rejected) - UNREAD:,} more")
    unread = f", {len(samples.rejected):,} more could not be read" if samples.rejected else ""
    sums = f"{plural(total, 'row')}{unread}; {len(done.held):,} {held} ({len(done.held) / total:.2%})"
    console.print(sums, soft_wrap=True)


def as_lines(done: Scan) -> Iterator[dict[str, Any]]:
    """The findings as JSON: rule, what it means, phrase, rows by file and line, measures."""
    for one in done.findings:
        yield {
            "rule": one.rule,
            "meaning": meaning(one.rule),
            "what": one.what,
            "field": one.field,
            "held": one.sure,
            "score": one.score,
            "p": one.p,
            "evidence": one.evidence,
            "rows": [
                {"file": str(place.path), "line": place.line}
                for place in map(done.samples.places.__getitem__, one.rows)
            ],
        }


def meaning(rule: str) -> str:
    """What a rule is about, for people."""
    return RULES[rule] if rule in RULES else TEXT_RULES[rule].meaning


def check_rule(rule: str) -> None:
    """Raises ValueError where no rule that training data may break has that name."""
    known = [*RULES, *SCANNED]
    if rule not in known:
        near = get_close_matches(rule, known, 1)
        meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        raise ValueError(f"--hold {rule}: no such rule; {meant}")


def _narrowest(weak: Sequence[Finding], held: Collection[int]) -> tuple[str, int]:
    """The rule that would hold the fewest rows that are not held yet, and how many; ("", 0) where none would."""
    rows: dict[str, set[int]] = {}
    for one in weak:
        rows.setdefault(one.rule, set()).update(set(one.rows).difference(held))
    counts = [(len(more), rule) for rule, more in rows.items() if more]
    number, rule = min(counts, default=(0, ""))
    return rule, number


def _line(one: Finding, samples: Samples, total: int) -> str:
    """A finding on one line, for pipes and narrow terminals."""
    rule, what, rows, p, why = _cells(one, samples, total)
    number, share = rows.split("\n")
    told = [
        rule,
        what or one.field,
        f"{number} row{'s'[: number != '1']} ({share})",
        f"p {p}" if p else "",
        *why.split("\n"),
    ]
    return "  |  ".join(" ".join(part.split()) for part in told if part)


def _cells(one: Finding, samples: Samples, total: int) -> tuple[str, ...]:
    p = "" if one.p is None else f"{one.p:.0e}"
    why = "\n".join([visible(one.evidence), *(f"· {example}" for example in _examples(one, samples))])
    rows = f"{len(one.rows):,}\n{len(one.rows) / total:.1%}"
    return one.rule, visible(one.what)[: EXAMPLE // 2], rows, p, why


def _examples(one: Finding, samples: Samples) -> Iterator[str]:
    """Rows of a finding: place, and the prompt and the answer around the phrase."""
    first = {row: place for place, row in reversed(list(enumerate(samples.rows)))}
    for row in one.rows[:EXAMPLES]:
        place = first[row]
        prompt, answer = (_cut(texts[place], one.what) for texts in (samples.prompts, samples.answers))
        yield f"{samples.places[row].path.name}:{samples.places[row].line}  {visible(prompt)} → {visible(answer)}"


def _cut(text: str, phrase: str) -> str:
    """A part of the text that has the phrase's first word, on one line."""
    line = " ".join(text.split())
    at = line.casefold().find(phrase.split(" ")[0]) if phrase else 0
    begin = max(0, at - EXAMPLE // 4)
    return (
        ("…" if begin else "") + line[begin : begin + EXAMPLE // 2] + ("…" if begin + EXAMPLE // 2 < len(line) else "")
    )
