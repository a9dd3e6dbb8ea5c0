"""The section about measures: every distribution with the thresholds of the recipe."""

from collections.abc import Sequence
from itertools import groupby

from pipeline.report.charts import histogram
from pipeline.report.data import Measured, Report, Threshold
from pipeline.report.elements import NOTHING
from pipeline.report.markup import Markup, join, tag
from pipeline.report.numbers import count, plural, share
from pipeline.report.removals import bounds


def measure_section(report: Report) -> Markup:
    """The distribution of every measure, with the thresholds."""
    documents = report.measures[0].documents if report.measures else 0
    if not documents:
        return NOTHING
    swatch = {"viewBox": "0 0 22 12", "aria_hidden": "true"}
    key = tag(
        "ul",
        tag("li", tag("svg", tag("rect", width=22, height=12, class_="kept"), **swatch), "kept by the filters"),
        tag(
            "li",
            tag("svg", tag("rect", width=22, height=12, class_="removed"), **swatch),
            "removed, by any of the rules",
        ),
        tag(
            "li",
            tag("svg", tag("line", x1=11, x2=11, y1=0, y2=12, class_="bound"), **swatch),
            "threshold; the side that fails is shaded",
        ),
        class_="key",
    )
    blocks = [
        join([tag("h3", block), _charts(list(measures))])
        for block, measures in groupby(report.measures, lambda measured: measured.block)
    ]
    return join(
        [
            tag("h2", "Measures and thresholds"),
            tag(
                "p",
                f"Every measure over the {plural(documents, 'document')} that came to the filters. Bars set apart at "
                "the ends gather what lies far out (beyond about the 1st or 99th percentile); a notched bar is cut "
                "off and bears its number.",
                class_="note",
            ),
            key,
            *blocks,
        ]
    )


def _charts(measures: Sequence[Measured]) -> Markup:
    judged = [measured for measured in measures if measured.thresholds]
    others = [measured for measured in measures if not measured.thresholds]
    parts = [tag("div", *(_figure(measured) for measured in judged), class_="charts")] if judged else []
    if others:
        grid = tag("div", *(_figure(measured) for measured in others), class_="charts")
        parts.append(
            tag(
                "details",
                tag("summary", f"{plural(len(others), 'measure')} without a threshold"),
                grid,
                class_="more-charts",
            )
        )
    return join(parts)


def _figure(measured: Measured) -> Markup:
    rules = [_rule(threshold, measured.documents) for threshold in measured.thresholds]
    if measured.unmeasured:
        rules.append(tag("li", f"{plural(measured.unmeasured, 'document')} without a value"))
    heading = tag("figcaption", tag("h4", measured.column))
    return tag("figure", heading, histogram(measured), tag("ul", *rules, class_="rules") if rules else None)


def _rule(threshold: Threshold, documents: int) -> Markup:
    """A rule's bounds, how many documents break it, and of how many it was the reason."""
    verdict = "none fails"
    if threshold.fail:
        verdict = f"{share(threshold.fail, documents)} fail ({count(threshold.fail)})"
        verdict += f", {count(threshold.removed)} removed for it"
    return tag("li", tag("b", threshold.reason), f" {bounds(threshold)}: {verdict}")
