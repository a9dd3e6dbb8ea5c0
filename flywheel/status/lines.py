"""The standing of the loop as lines for a terminal, and how ages and counts are written there and on the page."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from flywheel.gate_cases import EVALUATION
from flywheel.status.changes import Change
from flywheel.status.rates import History
from flywheel.status.refusals import Refusal
from flywheel.status.stages import Stage, Wait
from flywheel.status.standing import WEEKS, ClusterStanding, Standing

BARS = " ▁▂▃▄▅▆▇█"

REFUSED = 5
"""Refused corrections that are told."""

LONG = 80
"""Characters of an answer that are told."""

CLUSTERS = 20
"""That are told, the most frequent first."""


def told(found: Standing) -> list[str]:
    """First where it waits, then who answers, then why, then the clusters."""
    lines = [_stage(found, stage) for stage in found.stages]
    lines.append("")
    if found.current is None:
        lines.append("now      nothing was promoted yet")
    for name, one in (("now", found.current), ("canary", found.canary), ("before", found.before)):
        if one is not None:
            lines.append(f"{name:<8} {_change(found.now, one)}")
    if found.amiss:
        lines.append(f"amiss    {found.amiss}")
    if found.decision is not None:
        wants = "train" if found.decision.retrain else "wait"
        lines.append(f"decided  {wants}, {ago(found.now, found.decision.made)} ago: {found.decision.reason}")
    if found.verdict is not None:
        lines.append(f"gate     {judged(found)}, {ago(found.now, found.verdict.made)} ago: {found.verdict.reason}")
    if found.pages is not None:
        lines.append(f"pages    {waits(found.now, found.pages)}")
    lines += [f"refused  {_refused(one)}" for one in found.refused[:REFUSED]]
    lines.append(f"cost     {cost(found)}")
    lines += [f"alert    {' '.join((one.at, one.where, one.what)).strip()}" for one in found.alerts]
    if found.clusters or found.others:
        lines.append("")
    lines += [_cluster(cluster, found.current) for cluster in found.clusters[:CLUSTERS]]
    if len(found.clusters) > CLUSTERS:
        lines.append(
            f"{'':<{WEEKS}} and {len(found.clusters) - CLUSTERS:,} smaller clusters; a page (--output) has all"
        )
    lines += [f"{'':<{WEEKS}} {one.name}: {rates(one, found.current)}{learnt(found, one)}" for one in found.others]
    return lines


def learnt(found: Standing, history: History) -> str:
    """How many of the general questions are not asked; empty for what are none."""
    if history.group != EVALUATION or not found.left_out:
        return ""
    return (
        f"; {found.left_out:,} left out, as a run has learnt {'the answer' if found.left_out == 1 else 'their answers'}"
    )


def waits(now: datetime, one: Wait) -> str:
    age = "" if one.oldest is None else ago(now, one.oldest)
    if one.count == 1:
        return f"1 waits for {one.whom}" + (f", for {age}" if age else "")
    return f"{one.count:,} wait for {one.whom}" + (f", up to {age}" if age else "")


def judged(found: Standing) -> str:
    """passed or refused, and what came after."""
    if found.verdict is None:
        return ""
    if found.after_verdict:
        return f"passed, but {found.after_verdict}"
    return "passed" if found.verdict.passed else "refused"


def cost(found: Standing) -> str:
    costs = found.costs
    return f"{span(costs.training)} of training, {span(costs.gates)} of gates, {span(costs.labelling)} of people's time"


def ago(now: datetime, then: datetime) -> str:
    """An age in one unit: 50 s, 12 min, 7 h, 3 days."""
    return span(max(now - then, timedelta()))


def span(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86400:,} days"


def bars(counts: Sequence[int]) -> str:
    """Counts as a line of bars, the highest as high as the line; what is not zero can be seen."""
    top = max(counts, default=0)
    return "".join(BARS[0] if not count else BARS[max(1, round(8 * count / top))] for count in counts)


def rates(history: History, current: Change | None) -> str:
    """The last rate of what people talk to now, and the first of what they ever talked to."""
    first = (history.served or history.points)[0]
    last = None if current is None else history.last_of(current.checkpoint_id)
    now = "not measured" if last is None else f"{last.rate:.0%} bad of {last.cases:,} cases"
    return now if first is last else f"{now}, {first.rate:.0%} of {first.cases:,} at first"


def _stage(found: Standing, stage: Stage) -> str:
    line = f"{stage.name:<8} {stage.count:>7,} {stage.what:<15}"
    line += " " + "; ".join(waits(found.now, one) for one in stage.waits)
    return f"{line.rstrip()} ({stage.note})" if stage.note else line.rstrip()


def _change(now: datetime, one: Change) -> str:
    share = f"{one.share:.0%} of the conversations, " if one.action == "canary" else ""
    reason = f"{one.reason.rstrip('.')}; {one.became}" if one.action == "canary" else one.reason
    return f"{one.checkpoint_id[:12]} {one.path}, {share}for {ago(now, one.at)} ({one.action}: {reason})"


def _refused(one: Refusal) -> str:
    return f"correction {one.correction[:12]} ({one.reason}): {' '.join(one.answer.split())[:LONG]}"


def _cluster(cluster: ClusterStanding, current: Change | None) -> str:
    said = [
        f"{sum(cluster.weeks):,} in {WEEKS} weeks",
        f"{cluster.found:,} in all",
        f"{cluster.held_out:,} held out",
        f"{cluster.corrected:,} corrected",
    ]
    if cluster.history is not None:
        said.append(rates(cluster.history, current))
    if cluster.waits:
        said.append(f"new corrections {cluster.waits}")
    return f"{bars(cluster.weeks)} {cluster.name}: {', '.join(said)}"
