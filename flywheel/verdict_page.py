"""A verdict as one HTML page: what was decided and why in words, the figures, and the answers side by side.

No script, no network, and every text that a model or a person wrote is escaped (as `trainer.redteam.page`).
"""

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from string import Template

from flywheel.evidence import IMPROVES, UNSHOWN, WORSE, Finding, Rule
from flywheel.tables import Messages
from trainer.redteam.disguise import shown as visible
from trainer.redteam.report import Change

EXAMPLES = 20
"""Pairs of answers that are shown of a cluster; answers.jsonl has them all."""

LONG = 1200
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Exchange:
    """What both checkpoints answered to a case, and whether that misbehaves."""

    case: str
    group: str
    prompt: Messages
    before: str
    after: str
    bad_before: bool
    bad_after: bool
    wanted: str = ""
    """What a good answer is, in words."""


@dataclass(frozen=True)
class Shown:
    """All that the page tells."""

    run: str
    passed: bool
    reasons: tuple[str, ...]
    before: str
    after: str
    """The checkpoints' ids."""
    made: datetime
    rule: Rule
    findings: tuple[Finding, ...]
    exchanges: tuple[Exchange, ...]
    attacks: tuple[Change, ...]
    uncounted: int
    unlooked: tuple[str, ...]
    """What was not compared, as nobody has set it."""


_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>$title</title><style>$style</style></head>
<body><header><p class="soft">Verdict of the gate</p><h1 class="$outcome">$title</h1><ul class="why">$reasons</ul>
$about</header>
<main><h2>What was compared</h2>
<p class="soft">Both checkpoints answered the same cases, which neither was trained on. A rate is the share of bad
answers, so less is better. The change stands with its 95% interval; mended and broken are the cases whose outcome
changed.</p>
<div class="wide"><table><thead><tr><th>cases</th><th></th><th class="number">number</th>
<th class="number">bad before</th><th class="number">bad after</th><th>0 to 100%</th>
<th class="number">change</th><th class="number">mended, broken</th>
<th>so</th></tr></thead><tbody>$rows</tbody></table></div>
<ul class="key"><li><svg viewBox="0 0 12 12"><circle class="before" cx="6" cy="6" r="5"/></svg>before</li>
<li><svg viewBox="0 0 12 12"><circle class="after" cx="6" cy="6" r="5"/></svg>after</li></ul>$left
$attacks<h2>The answers side by side</h2>$answers</main></body></html>
""")


def render(found: Shown) -> str:
    """The page. The same verdict gives the same bytes."""
    style = files("flywheel").joinpath("verdict.css").read_text(encoding="utf-8")
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _PAGE.substitute(
        policy=f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'",
        style=style,
        title="The new checkpoint may be promoted" if found.passed else "The new checkpoint is not promoted",
        outcome="passed" if found.passed else "refused",
        reasons="".join(f"<li>{_text(_sentence(reason))}</li>" for reason in found.reasons),
        about=_about(found),
        rows="".join(_row(finding, found.rule) for finding in found.findings),
        left=_left(found),
        attacks=_attacks(found.attacks),
        answers="".join(
            _group(finding, found.exchanges)
            for finding in sorted(found.findings, key=lambda one: (one.verdict != WORSE, not one.target))
        ),
    )


def _about(found: Shown) -> str:
    rule = found.rule
    return (
        f'<p class="soft">before <code>{_text(found.before[:12])}</code>, after '
        f"<code>{_text(found.after[:12])}</code>, run <code>{_text(found.run[:12])}</code>, "
        f"{found.made:%Y-%m-%d %H:%M} UTC</p>"
        f'<p class="soft">A corrected cluster must improve with p below {1 - rule.confidence:.2g}; nothing may get '
        f"worse by more than {rule.tolerance:.0%}, or what is said beside it; fewer than "
        f"{rule.minimum_cases} cases are insufficient evidence, "
        f"but are worse where so many broke that chance is hardly the reason (one-sided p below "
        f"{1 - rule.confidence:.2g}).</p>"
    )


def _row(finding: Finding, rule: Rule) -> str:
    role = '<span class="target">to be mended</span>' if finding.target else "to be left as it was"
    if finding.tolerance != rule.tolerance:
        role += f"<small>at most {_change(finding.tolerance)}</small>"
    known = f"<small><code>{_text(finding.id[:12])}</code></small>" if len(finding.id) > 12 else ""
    kind = {IMPROVES: "good", WORSE: "bad", UNSHOWN: "bad"}.get(finding.verdict, "")
    change = "–"
    if finding.difference is not None:
        change = f"{_change(finding.difference)}<small>{_change(finding.low)} to {_change(finding.high)}</small>"
    cells = [
        f'<td class="name">{_text(finding.name)}{known}</td><td class="role">{role}</td>',
        f'<td class="number">{finding.cases:,}</td>',
        *(f'<td class="number">{_share(value)}</td>' for value in (finding.before, finding.after)),
        f"<td>{_chart(finding)}</td>",
        f'<td class="number">{change}</td><td class="number">{finding.mended}, {finding.broken}</td>',
        f'<td class="{kind}">{finding.verdict}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _chart(finding: Finding) -> str:
    """Two dots on a line from 0 to 100%, joined."""
    if finding.before is None or finding.after is None:
        return ""
    x1, x2 = (6 + 148 * value for value in (finding.before, finding.after))
    spoken = f"{finding.before:.0%} bad before, {finding.after:.0%} after"
    return (
        f'<svg class="chart" viewBox="0 0 160 20" role="img" aria-label="{spoken}">'
        f'<rect class="track" x="6" y="8" width="148" height="4"/>'
        f'<line class="move" x1="{x1:.1f}" x2="{x2:.1f}" y1="10" y2="10"/>'
        f'<circle class="before" cx="{x1:.1f}" cy="10" r="5"/><circle class="after" cx="{x2:.1f}" cy="10" r="5"/></svg>'
    )


def _left(found: Shown) -> str:
    parts = [
        (sum(finding.contaminated for finding in found.findings), "left out: in the training data, or nearly"),
        (sum(finding.unasked for finding in found.findings), "left out: too long for the model, or no conversation"),
        (found.uncounted, "not counted: no cluster yet, or nothing by which a machine could tell"),
    ]
    lines = [f"<li>{count:,} {what}</li>" for count, what in parts if count]
    lines += [f"<li>not compared: {_text(what)}</li>" for what in found.unlooked]
    return f'<ul class="soft">{"".join(lines)}</ul>' if lines else ""


def _attacks(changes: Sequence[Change]) -> str:
    if not changes:
        return ""
    rows = []
    for change in changes:
        if not change.count:
            continue
        rows.append(
            f'<tr><td class="name">{_text(change.name)}</td><td class="number">{change.count:,}</td>'
            f'<td class="number">{_change(change.success)}'
            f"<small>{_change(change.low)} to {_change(change.high)}</small></td>"
            f'<td class="number">{_change(change.answered)}</td><td>{change.note}</td></tr>'
        )
    if not rows:
        return '<h2>Attacks</h2><p class="soft">No attack fits into the context of these models.</p>'
    return (
        '<h2>Attacks</h2><p class="soft">How many more of the red team\'s attacks succeed than before (less is '
        "better), and how many more of their benign twins are answered.</p>"
        '<div class="wide"><table><thead><tr><th>family</th><th class="number">attacks</th>'
        f'<th class="number">succeed</th><th class="number">twins answered</th><th>so</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _group(finding: Finding, exchanges: Sequence[Exchange]) -> str:
    """Broken ones first, as they are what a person must see; then mended, still bad, good."""
    own = [one for one in exchanges if one.group == finding.id]
    if not own:
        return ""
    order = sorted(own, key=lambda one: (one.bad_before or not one.bad_after, not one.bad_before, one.bad_after))
    parts = [_exchange(one) for one in order[:EXAMPLES]]
    if len(order) > EXAMPLES:
        parts.append(f'<p class="soft">{len(order) - EXAMPLES:,} more in answers.jsonl</p>')
    opened = " open" if finding.target or finding.broken else ""
    title = f"{_text(finding.name)}: {finding.mended} mended, {finding.broken} broken, of {len(own)}"
    return f"<details{opened}><summary>{title}</summary>{''.join(parts)}</details>"


def _exchange(one: Exchange) -> str:
    what = {
        (True, False): "mended",
        (False, True): "broken",
        (True, True): "bad in both",
        (False, False): "good in both",
    }[one.bad_before, one.bad_after]
    asked = "".join(
        f"<dt>{_text(str(message.get('role')))}</dt><dd>{_cut(str(message.get('content') or ''))}</dd>"
        for message in one.prompt
    )
    sides = "".join(
        f'<div class="{"bad" if bad else "good"}"><h4>{name}: {"bad" if bad else "good"}</h4><p>{_cut(text)}</p></div>'
        for name, text, bad in (("before", one.before, one.bad_before), ("after", one.after, one.bad_after))
    )
    good = f"<p>Good if {_cut(one.wanted)}.</p>" if one.wanted else ""
    return f'<article><h3>{what}</h3><dl>{asked}</dl>{good}<div class="sides">{sides}</div></article>'


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _change(value: float) -> str:
    if value != value:  # no twins: NaN
        return "–"
    said = f"{value:+.0%}"
    return "0%" if said in ("+0%", "-0%") else said


def _cut(text: str) -> str:
    if not text:
        return '<span class="soft">(nothing)</span>'
    return _text(text if len(text) <= LONG else f"{text[:LONG]} ... ({len(text):,} characters)")


def _text(text: str) -> str:
    return html.escape(visible(text))
