"""The benchmark's figures as tables for people."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.flywheel.texts import HEALTHY, PLANTED
from labeling.kinds.kind import Json


def show(found: Json, console: Console) -> None:
    rounds = found["rounds"]
    states = [found["model"]["unseen"], *(one["unseen"] for one in rounds)]
    for table in (
        rates("Planted misbehaviours: failures on questions that nobody else asks", PLANTED, states),
        rates("What was never wrong", HEALTHY, states),
        cases(rounds),
        times(found["model"], rounds),
        refused(found["refusals"]),
    ):
        console.print(table)


def percent(rate: Mapping[str, float]) -> str:
    return f"{rate['rate']:.0%} [{rate['low']:.0%}, {rate['high']:.0%}]"


def rates(title: str, topics: Sequence[str], states: Sequence[Json]) -> Table:
    heads = ["topic", "questions", "before", *(f"after round {number}" for number in range(1, len(states)))]
    table = Table(*heads, "of it, wordings that no user has", title=f"{title} (95% intervals)", title_justify="left")
    for name in topics:
        last = states[-1][name]["new wordings"]
        shown = [percent(state[name]) for state in states]
        table.add_row(name, str(states[0][name]["of"]), *shown, f"{last['bad']} of {last['of']}")
    return table


def cases(rounds: Sequence[Json]) -> Table:
    """What the gate saw in each round."""
    title = "The gate's cases: failures of the checkpoint before and of the new one"
    table = Table("round", "cluster", "is", "found", "cases", "before", "after", "verdict", title=title)
    table.title_justify = "left"
    for number, one in enumerate(rounds, 1):
        for group in one["gate"]["groups"]:
            cluster = one["clusters"].get(group["id"])
            name = f"{cluster['topic']}: {cluster['name']}" if cluster else group["name"]
            sides = ["-" if group[side] is None else f"{group[side]:.0%}" for side in ("before", "after")]
            is_ = "target" if group["target"] else "untouched"
            number_found = str(cluster["found"]) if cluster else "-"
            table.add_row(str(number), escape(name), is_, number_found, str(group["cases"]), *sides, group["verdict"])
    return table


def times(model: Json, rounds: Sequence[Json]) -> Table:
    heads = (
        "",
        "labels",
        "corrections",
        "replayed",
        "gate",
        "worst change of what is untouched",
        "wall s",
        "CPU s",
    )
    table = Table(*heads, title="Rounds", title_justify="left")
    table.add_row("the model", "-", "-", "-", "-", "-", *_seconds(model))
    for number, one in enumerate(rounds, 1):
        gate = one["gate"]
        worst = max((group["difference"] or 0 for group in gate["groups"] if not group["target"]), default=None)
        counts = [str(gate.get(name, "-")) for name in ("corrections", "replayed")]
        table.add_row(
            f"round {number}",
            str(one["labels"]),
            *counts,
            "passed" if gate["passed"] else escape(gate["reason"]),
            "-" if worst is None else f"{worst:+.1%}",
            *_seconds(one),
        )
    return table


def refused(parts: Mapping[str, Json]) -> Table:
    table = Table("what", "labels and corrections", "stopped by", "reason", title="Refused", title_justify="left")
    for name, one in parts.items():
        if name == "poisoned":
            for kind, told in one["kinds"].items():
                reasons = "\n".join(f"{count} x {reason}" for reason, count in told["reasons"].items())
                stopped = f"{told['refused']} of {told['corrections']} refused"
                by = "poison filter" if told["refused"] else "-" if kind == "right" else "nothing"
                table.add_row(f"{name}: {kind}", stopped, by, escape(reasons))
            continue
        gate = one["gate"]
        if gate["passed"] is None:
            why = one["admission"]["refused"] | one["admission"]["labels left out"]
            reason = "\n".join(f"{count} x {reason}" for reason, count in why.items())
            table.add_row(name, f"{one['corrections']['count']} corrections", "admission", escape(reason))
        else:
            count = f"{gate['corrections']} corrections"
            by = "nothing: promoted" if one["promoted"] else "gate"
            table.add_row(name, count, by, escape(gate["reason"]))
    return table


def _seconds(one: Json) -> tuple[str, str]:
    again = " (gone on with)" if one["gone on with"] else ""
    return f"{one['seconds']:.0f}{again}", f"{one['processor']:.0f}"
