"""The page's part about the consensus: how sure it is, and where it is not what most people say."""

from itertools import pairwise

from labeling.quality.elements import cell, percent, table, text
from labeling.quality.quality import Quality
from labeling.quality.sure import ORDER, Together

SURE = (0.99, 0.9, 0.75)
"""Where the columns of probabilities meet."""


def consensus(found: Quality) -> str:
    if not found.together:
        return "<p>Two people or more have to choose of the same sample for a consensus; there is no such sample.</p>"
    body = (
        "<p>What two people or more say together of a sample, weighted by how often each of them is right (Dawid and "
        "Skene's model). The probability is how sure the model is, which is rather too sure than not sure enough. The "
        "figures (JSON) have the consensus of each sample with its probability, under “together”.</p>"
    )
    if found.kind == "rankings":
        body += (
            "<p>Of rankings each pair of answers is a choice; a sample's order is by the answers that each is expected "
            "to beat, and its probability the mean over its pairs.</p>"
        )
    if found.kind == "ratings":
        body += "<p>Of grades, whether they are 5 or more: for each of the seven there are too few labels.</p>"
    heads = ["", "samples", *_spans(), "not what most say"]
    return body + table(heads, [_row(one) for one in found.together])


def _row(one: Together) -> str:
    edges = (1.01, *SURE, 0.0)
    likely = [belief.probability for belief in one.samples.values()]
    counts = [sum(low <= value < high for value in likely) for high, low in pairwise(edges)]
    units = "pairs of answers" if one.scale == ORDER else "samples"
    return (
        cell(text(one.scale), "name")
        + cell(f"{len(likely):,}")
        + "".join(cell(f"{count:,}<small>{percent(count / len(likely))}</small>") for count in counts)
        + cell(f"{one.otherwise:,}<small>of {one.units:,} {units}</small>")
    )


def _spans() -> list[str]:
    between = [f"{low:.0%} to {high:.0%}" for high, low in pairwise(SURE)]
    return [f"probability {SURE[0]:.0%} or more", *between, f"below {SURE[-1]:.0%}"]
