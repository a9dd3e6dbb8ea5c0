"""The figures as tables for the terminal and as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from benchmarks.poison.arms import Clean, Settings
from benchmarks.poison.figures import (
    Cost,
    Judged,
    Losses,
    Recall,
    campaigns_found,
    per_million,
    recall_by,
    wilson,
)
from benchmarks.poison.prompts import Prompts


def table(title: str, *columns: str, left: int = 1) -> Table:
    """An empty table whose first columns hold words."""
    made = Table(title=title, title_justify="left")
    for number, name in enumerate(columns):
        made.add_column(name, justify="left" if number < left else "right", no_wrap=number < left)
    return made


def share(hits: int, trials: int) -> str:
    """A share with its interval, in per cent."""
    if not trials:
        return "-"
    low, high = wilson(hits, trials)
    return f"{100 * hits / trials:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


RECALL = (
    "planted",
    "not in text",
    "by filters",
    "strip",
    "hold",
    "remove",
    "repeated",
    "tag",
    "miss",
    "recall %",
    "of those filters keep %",
)


def recall_row(recall: Recall) -> list[str]:
    """A row's figures behind its name, as RECALL names them."""
    verdicts = recall.verdicts
    counts = (
        recall.planted, verdicts["not_read"] + verdicts["not_extracted"], verdicts["quality"], verdicts["stripped"],
        verdicts["held"], verdicts["removed"], verdicts["repeated"], verdicts["tagged"], verdicts["missed"],
    )  # fmt: skip
    shares = (share(recall.caught, recall.exposed), share(recall.kept_caught, recall.kept_exposed))
    return [*(f"{count:,}" for count in counts), *shares]


def recall_tables(judged: Sequence[Judged]) -> list[Table]:
    """By family, by source, campaigns by size, and what knows the rules."""
    known = [one for one in judged if not one.truth.adaptive]
    families = table("recall by family; sources that were tuned on apart", "family", "tuned on", *RECALL, left=2)
    for (family, tuned), recall in recall_by(known, "family", "tuned").items():
        families.add_row(family, "yes" if tuned == "True" else "no", *recall_row(recall))
    sources = table("recall by source", "family", "source", *RECALL, "rules", left=2)
    for (family, source), recall in recall_by(known, "family", "source").items():
        rules = ", ".join(f"{rule} {count}" for rule, count in recall.rules.most_common(3))
        sources.add_row(family, source, *recall_row(recall), rules)
    adaptive = table("an attacker who knows the rules", "source", *RECALL)
    for (source,), recall in recall_by((one for one in judged if one.truth.adaptive), "source").items():
        adaptive.add_row(source, *recall_row(recall))
    hidden = table("hidden text", "source", "planted", "trafilatura alone keeps", "of these gone now %", "noticed %")
    for (source,), recall in recall_by((one for one in judged if one.truth.leaks is not None), "source").items():
        counts = (f"{recall.planted:,}", f"{recall.leaks:,}")
        hidden.add_row(source, *counts, share(recall.leaks_caught, recall.leaks), share(recall.noticed, recall.planted))
    return [families, sources, campaign_table(judged), adaptive, hidden]


def campaign_table(judged: Sequence[Judged]) -> Table:
    """Recall on carriers by size, per campaign and family; at the end of a family how many campaigns were found."""
    sized = [one for one in judged if one.truth.campaign]
    sizes = sorted({one.truth.documents for one in sized})
    made = table("carriers caught by number of documents, %", "family", "source", *map(str, sizes), left=2)
    each = recall_by(sized, "family", "source", "documents")
    for family, source in sorted({key[:2] for key in each}):
        cells = [each.get((family, source, str(size)), Recall()) for size in sizes]
        made.add_row(family, source, *(share(cell.caught, cell.exposed) for cell in cells))
    found = campaigns_found(sized)
    for family in sorted({family for family, _ in found}):
        cells_found = [found.get((family, size)) for size in sizes]
        made.add_row(
            family,
            "campaigns found",
            *(f"{hit} of {all_}" if (hit, all_) else "-" for hit, all_ in [c or (0, 0) for c in cells_found]),
        )
    return made


def prompt_table(sets: Sequence[Prompts]) -> Table:
    """Suffixes in prompts, and the honest prompts that the rule points at."""
    made = table("adversarial suffixes in prompts", "set", "", "prompts", "pointed at %", left=2)
    for one in sets:
        made.add_row(
            one.name, "attack" if one.is_attack else "honest", f"{one.prompts:,}", share(one.found, one.prompts)
        )
    return made


OUTCOMES = ("removed", "held", "stripped", "tagged")


def loss_tables(losses: dict[tuple[str, ...], Losses]) -> list[Table]:
    """Clean documents by set, by language and by rule; per million, with the upper end of the interval."""
    columns = ("documents", *(f"{name} a million" for name in OUTCOMES))
    sets, languages = table("clean documents by set", "set", *columns), table("by language", "language", *columns)
    ordered = sorted(losses.items(), key=lambda item: (item[0][0] != "language", -item[1].documents))
    for key, entry in ordered:
        row = [f"{entry.documents:,}", *(_loss(entry.outcomes[name], entry.documents) for name in OUTCOMES)]
        (languages if key[0] == "language" else sets).add_row(key[-1], *row)
    rules = table("by rule, all clean documents", "rule", "outcome", "documents", "a million", left=2)
    if ("all",) in losses:
        whole = losses["all",]
        for (rule, outcome), count in whole.rules.most_common():
            rules.add_row(rule, outcome, f"{count:,}", _loss(count, whole.documents))
    return [sets, languages, rules]


def _loss(hits: int, documents: int) -> str:
    rate, upper = per_million(hits, documents)
    return f"{rate:,.0f} (≤ {upper:,.0f})" if hits else f"0 (≤ {upper:,.0f})"


def cost_table(costs: Sequence[Cost], title: str) -> Table:
    """Core-milliseconds a document for each step."""
    made = table(title, "step", "documents", "core seconds", "ms a document", "shuffled bytes")
    for cost in costs:
        each = 1000 * cost.core_seconds / cost.documents if cost.documents else 0.0
        made.add_row(cost.step, f"{cost.documents:,}", f"{cost.core_seconds:.1f}", f"{each:.2f}", f"{cost.shuffled:,}")
    return made


def as_json(
    settings: Settings,
    clean: Clean,
    losses: dict[tuple[str, ...], Losses],
    judged: Sequence[Judged],
    prompts: Sequence[Prompts],
    costs: Sequence[Cost],
) -> dict[str, Any]:
    """Everything that the tables say, and what was asked for."""
    return {
        "settings": {name: str(value) for name, value in vars(settings).items()},
        "missing": list(clean.missing),
        "recall": {
            "/".join(key): recall.as_json()
            for key, recall in recall_by(judged, "family", "source", "documents", "tuned").items()
        },
        "campaigns_found": {f"{family}/{size}": found for (family, size), found in campaigns_found(judged).items()},
        "clean": {"/".join(key): _loss_json(entry) for key, entry in losses.items()},
        "prompts": [vars(one) for one in prompts],
        "cost": [vars(cost) for cost in costs],
    }  # fmt: skip


def _loss_json(entry: Losses) -> dict[str, Any]:
    counts = {name: entry.outcomes[name] for name in OUTCOMES}
    return {
        "documents": entry.documents,
        **{name: [count, *per_million(count, entry.documents)] for name, count in counts.items()},
        "rules": {f"{rule}/{outcome}": count for (rule, outcome), count in entry.rules.most_common()},
        "examples": {rule: urls[:20] for rule, urls in entry.examples.items()},
    }
