"""The report as one HTML page: no script, no network, and every text that a model or an attacker wrote escaped.

What is invisible or would reorder a line is spelt out, as half of the attacks are made of it.
"""

import base64
import hashlib
import html
from collections.abc import Sequence
from importlib.resources import files
from string import Template

from trainer.measure.agreement import Rate
from trainer.redteam.disguise import shown
from trainer.redteam.report import ALL, LOST, Family, Report, difference, percent
from trainer.redteam.trial import Trial
from trainer.talk.conversation import Message

EXAMPLES = 3
"""Successful attacks that are shown of a family; redteam.json has them all."""

LONG = 1500
"""Characters of a message that are shown."""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>Red team report</title><style>$style</style></head>
<body><header><p class="soft">Red team report</p><h1>$headline</h1>$about</header>
<main><h2>Families</h2>
<p class="soft">An attack counts by the share of its answers that met its check; intervals are of 95%. A twin asks in
the same way for what is allowed: a model that answers no twins is not safe but lost; one that refuses them is
afraid.</p>
<ul class="key">$key</ul><div class="wide"><table><thead><tr>$heads</tr></thead><tbody>$rows</tbody></table></div>
<h2>What succeeded</h2>$successes</main></body></html>
""")


def render(report: Report) -> str:
    """The page. The same report gives the same bytes."""
    style = files("trainer.redteam").joinpath("page.css").read_text(encoding="utf-8")
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    with_before = report.before is not None
    heads = ["family", "attacks", *(["before"] if with_before else []), "after" if with_before else "success"]
    heads += [*(["change"] if with_before else []), "0 to 100%"]
    heads += ["twins answered before", "after"] if with_before else ["twins answered"]
    heads += ["twins refused", ""]
    marks = [("after", "attacks that succeed"), *([("before", "the same before")] if with_before else [])]
    marks.append(("twin", "benign twins answered"))
    key = (f'<li><svg viewBox="0 0 22 10">{_span(name, 2, 20, 11, 5)}</svg>{text}</li>' for name, text in marks)
    return _PAGE.substitute(
        policy=f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'",
        style=style,
        headline=_headline(report),
        about=_about(report),
        key="".join(key),
        heads="".join(f"<th>{name}</th>" for name in heads),
        rows="".join(_row(report, place) for place in range(len(report.model.families))),
        successes=_successes(report),
    )


def _headline(report: Report) -> str:
    found = report.model.families[0].success
    if not found.count:
        return "No attack fitted into the model's context"
    text = f"{percent(found.value)} of {found.count:,} attacks succeed"
    if report.before is not None:
        text += f", {percent(report.before.families[0].success.value)} did before"
    if report.model.families[0].note == LOST:
        text += ", of a model that seldom answers what is allowed either"
    return text


def _about(report: Report) -> str:
    lines = [f"model {_text(report.model.name)}, checkpoint <code>{_text(report.model.checkpoint[:12])}</code>"]
    if report.before is not None:
        lines.append(f"before: {_text(report.before.name)}, <code>{_text(report.before.checkpoint[:12])}</code>")
    settings = ", ".join(
        f"{name.replace('_', ' ')} {' '.join(value) or 'none' if isinstance(value, list) else value}"
        for name, value in report.settings.items()
    )
    return "".join(f'<p class="soft">{line}</p>' for line in (*lines, _text(settings)))


def _row(report: Report, place: int) -> str:
    family = report.model.families[place]
    before = None if report.before is None else report.before.families[place]
    change = report.changes[place] if before is not None else None
    cells = [f'<td class="family">{_text(family.name)}</td>', f'<td class="number">{family.success.count:,}</td>']
    if before is not None:
        cells.append(_rate(before.success))
    cells.append(_rate(family.success))
    if change is not None:
        span = f"<small>{change.low:+.0%} to {change.high:+.0%}</small>" if change.count else ""
        cells.append(f'<td class="number">{difference(change).partition(" ")[0]}{span}</td>')
    cells.append(f"<td>{_chart(family, before)}</td>")
    cells += [_rate(one.answered) for one in (before, family) if one is not None]
    cells.append(f'<td class="number">{percent(family.refused.value)}</td>')
    cells.append(f'<td class="note">{_text(report.notes(place))}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _rate(found: Rate) -> str:
    if not found.count:
        return '<td class="number">–</td>'
    return f'<td class="number">{percent(found.value)}<small>{percent(found.low)} to {percent(found.high)}</small></td>'


def _chart(family: Family, before: Family | None) -> str:
    """Intervals with their rates as dots, on a line from 0 to 100%."""
    marks = [("after", family.success, 6 if before is None else 4), ("twin", family.answered, 22)]
    if before is not None:
        marks.append(("before", before.success, 13))
    drawn = "".join(
        _span(name, 5 + 180 * found.low, 5 + 180 * found.high, 5 + 180 * found.value, height)
        for name, found, height in marks
        if found.count
    )
    spoken = f"{percent(family.success.value)} of attacks succeed, {percent(family.answered.value)} of twins answered"
    middle = '<line class="tick" x1="95" x2="95" y1="0" y2="26"/>'
    return (
        f'<svg viewBox="0 0 190 26" role="img" aria-label="{spoken}">'
        f'<rect class="track" x="5" width="180" height="26"/>{middle}{drawn}</svg>'
    )


def _span(name: str, low: float, high: float, value: float, height: float) -> str:
    return (
        f'<line class="{name}" x1="{low:.1f}" x2="{high:.1f}" y1="{height}" y2="{height}" stroke-width="2"/>'
        f'<circle class="{name}" cx="{value:.1f}" cy="{height}" r="3"/>'
    )


def _successes(report: Report) -> str:
    if not report.successes:
        return "<p>No attack succeeded.</p>"
    parts = []
    for family in report.model.families:
        if family.name == ALL:
            continue
        found = [trial for trial in report.successes if trial.attack.family == family.name]
        parts += [_example(trial) for trial in found[:EXAMPLES]]
        if len(found) > EXAMPLES:
            parts.append(f'<p class="note">{len(found) - EXAMPLES:,} more of {_text(family.name)} in redteam.json</p>')
    return "".join(parts)


def _example(trial: Trial) -> str:
    attack = trial.attack
    answer = next(answer for answer, met in zip(trial.answers, trial.met, strict=True) if met)
    wanted = f"{attack.check.kind} {attack.check.text}".rstrip()
    title = f"{_text(attack.family)}: <code>{_text(attack.id)}</code> {_text(wanted)}"
    title += f", {sum(trial.met)} of {len(trial.met)} answers"
    said = "".join(_turn(message, "said" if message.role == "assistant" else "") for message in answer.messages)
    return f"<details><summary>{title}</summary><dl>{_turns(attack.messages)}{said}</dl></details>"


def _turns(messages: Sequence[Message]) -> str:
    return "".join(_turn(message, "") for message in messages)


def _turn(message: Message, kind: str) -> str:
    calls = "".join(f"\n[calls {call.tool}: {call.input}]" for call in message.calls)
    text = (message.content + calls).strip()
    cut = text if len(text) <= LONG else f"{text[:LONG]} ... ({len(text):,} characters)"
    return f'<dt>{_text(message.role)}</dt><dd class="{kind}">{_text(cut)}</dd>'


def _text(text: str) -> str:
    return html.escape(shown(text))
