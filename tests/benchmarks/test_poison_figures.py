"""Who is planted where, what a fate means, and the arithmetic of the tables."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from benchmarks.poison.arms import HERE, Settings, clean_runs, planted_arms
from benchmarks.poison.attack import Attack, Host, Materials, Payload, each
from benchmarks.poison.figures import Judged, campaigns_found, judge_arm, losses, per_million, recall_by, wilson
from benchmarks.poison.outcome import Fate, fates, found_by_repetition, judge
from benchmarks.poison.plant import Truth, plan, plant, read_truth, remains, write_arm
from benchmarks.poison.warc import Document, date_of, write_documents

START = each(lambda rng, host: Payload(f"<p>{rng.random()} was drawn.</p>", ("was drawn.",)))


def attack(source: str, campaign: bool = False, most: int | None = None) -> Attack:
    return Attack("family", source, START, campaign=campaign, most=most)


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_interval_is_the_score_interval(hits: int, trials: int) -> None:
    hits = min(hits, trials)
    known = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson(hits, trials) == pytest.approx((known.low, known.high), abs=1e-4)


def test_nothing_lost_in_10000_is_at_most_384_in_a_million() -> None:
    assert per_million(0, 10_000) == (0.0, pytest.approx(384, abs=1))


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(1, 30)), max_size=12), st.integers(25, 80))
def test_arms_hold_every_attack_and_no_more_than_the_hosts(kinds: list[tuple[bool, int | None]], hosts: int) -> None:
    attacks = [attack(f"{number}", campaign, most) for number, (campaign, most) in enumerate(kinds)]
    planned = plan(attacks, (10, 25), 20, hosts)
    full = Counter[int]()
    for entry in planned:
        full[entry.arm] += entry.documents
    assert all(documents <= hosts for documents in full.values())
    assert sorted((entry.attack.source, entry.documents) for entry in planned) == sorted(
        (one.source, size) for one in attacks for size in ((10, 25) if one.campaign else (min(20, one.most or 20),))
    )
    assert all(len({entry.attack.campaign for entry in planned if entry.arm == arm}) == 1 for arm in full)


def test_a_campaign_larger_than_the_hosts_is_refused() -> None:
    with pytest.raises(ValueError, match="250 documents needs as many hosts, and there are 100"):
        plan([attack("a", campaign=True)], (10, 250), 10, 100)


def test_no_two_planted_pages_share_a_host() -> None:
    line = (
        "Sentence number {} of a page that is by far long enough to be a host, for which some eighty signs are needed."
    )
    lines = [line.format(number) for number in range(9)]
    page = "<html><body><p>" + "</p><p>".join(lines) + "</p></body></html>"
    hosts = [Host(f"https://h{number}.example/", "", "en", page, "\n".join(lines)) for number in range(30)]
    made = list(plant(plan([attack("a"), attack("b", most=7)], (10,), 20, 30), hosts, Materials(), 1))
    assert len({document.url for document, _ in made}) == len(made) == 27
    assert all(truth.needles[0] in document.body for document, truth in made)


def test_an_arm_is_written_once_and_read_back(tmp_path: Path) -> None:
    line = "This paragraph has far more than eighty signs, white space not counted, so that it can take a payload."
    host = Host("https://h.example/", "", "en", f"<html><body><p>{line}</p></body></html>", line)
    planned = plan([attack("a")], (10,), 1, 1)
    write_arm(tmp_path, planned, [host], Materials(), 1)
    first = (tmp_path / "planted.warc.gz").read_bytes()
    write_arm(tmp_path, planned, [], Materials(), 2)
    assert (tmp_path / "planted.warc.gz").read_bytes() == first
    assert read_truth(tmp_path) == [
        Truth(host.url, "family", "a", False, False, False, 1, "paragraph", ("was drawn.",))
    ]


def test_equal_documents_make_equal_archives(tmp_path: Path) -> None:
    documents = [Document("https://a.example/", "<p>A</p>"), Document("https://b.example/", "B", is_text=True)]
    for name in ("one", "two"):
        assert write_documents(tmp_path / f"{name}.warc.gz", documents) == 2
    assert (tmp_path / "one.warc.gz").read_bytes() == (tmp_path / "two.warc.gz").read_bytes()


def test_pages_of_a_site_are_dated_within_two_weeks_and_sites_over_a_year() -> None:
    assert len({date_of(f"https://a.example/{number}")[:7] for number in range(99)}) <= 2
    assert len({date_of(f"https://{number}.example/")[:7] for number in range(999)}) == 12


def test_an_attack_stands_while_more_than_a_quarter_of_it_does() -> None:
    needles = ("one two", "three four", "five six", "seven eight")
    assert not remains("here is one\ntwo and no more", needles)
    assert remains("here is one\ntwo and three  four", needles)


@pytest.mark.parametrize(
    ("fate", "before", "after", "leaks", "verdict"),
    [
        (None, False, False, None, "not_read"),
        (Fate("read", reason="no_main_text"), False, False, None, "not_read"),
        (Fate("quality", reason="top_2_gram"), True, True, None, "quality"),
        (Fate("kept"), False, False, None, "not_extracted"),
        (Fate("kept"), True, False, None, "stripped"),
        (Fate("kept", rules={"noise": "tag"}), True, True, None, "tagged"),
        (Fate("kept"), True, True, None, "missed"),
        (Fate("held", reason="trigger"), True, True, None, "held"),
        (Fate("removed", reason="blocked"), True, True, None, "removed"),
        (Fate("kept"), False, False, True, "stripped"),
        (Fate("kept"), False, False, False, "not_extracted"),
        (Fate("held", reason="hidden_instructions"), False, False, False, "not_extracted"),
        (Fate("kept"), True, True, False, "missed"),
    ],
)
def test_what_a_fate_means(fate: Fate | None, before: bool, after: bool, leaks: bool | None, verdict: str) -> None:
    assert judge(fate, before, after, leaks) == verdict


def test_what_only_repetition_gave_away_is_told_apart() -> None:
    assert found_by_repetition(Fate("kept", rules={"fixed_continuation": "strip", "mixed_script": "tag"}))
    assert not found_by_repetition(Fate("held", rules={"fixed_continuation": "strip", "instructions": "hold"}))
    assert not found_by_repetition(Fate("kept"))


def judged(source: str, verdict: str, kept: bool = True, documents: int = 10) -> Judged:
    truth = Truth("", "family", source, False, False, True, documents, "paragraph", ())
    return Judged(truth, verdict, kept, (), False)  # type: ignore[arg-type]


def test_recall_counts_what_reached_the_step_and_credits_what_filters_keep() -> None:
    rows = [judged("a", "held"), judged("a", "missed"), judged("a", "quality"), judged("a", "not_extracted")]
    rows += [judged("a", "stripped", kept=False)]
    recall = recall_by(rows, "source")["a",]
    assert (recall.planted, recall.exposed, recall.caught) == (5, 3, 2)
    assert (recall.kept_exposed, recall.kept_caught) == (2, 1)


def test_a_campaign_is_found_when_nineteen_of_twenty_carriers_are() -> None:
    found = (
        [judged("a", "held")] * 19 + [judged("a", "missed")] + [judged("b", "held")] * 18 + [judged("b", "missed")] * 2
    )
    assert campaigns_found(found) == {("family", 10): (1, 2)}


@pytest.mark.slow
def test_the_whole_chain_on_made_up_pages(sample_crawl: Path, tmp_path: Path) -> None:
    recipes = []
    for name in ("recipe.yaml", "quality.yaml"):
        recipes.append(tmp_path / name)
        recipes[-1].write_text((HERE / name).read_text().replace("vocabulary_size: 8192", "vocabulary_size: 500"))
    settings = Settings(
        tmp_path, (f"{sample_crawl}/*.warc.gz",), None, None, None, *recipes,
        sizes=(3,), each=2, hosts=40, families=("control",), quick=True,
    )  # fmt: skip
    clean = clean_runs(settings, lambda line: None)
    arms = planted_arms(settings, clean.corpora["web"], lambda line: None).arms
    rows = [one for arm in arms for one in judge_arm(arm)]
    recall = recall_by(rows, "family")["control",]
    assert recall.planted == 40
    assert recall.caught >= 36
    lost = losses(clean)["all",]
    assert lost.documents > 100
    assert lost.outcomes["removed"] == 0
    changed = [(arm.folder / "planted.warc.gz").stat().st_mtime for arm in arms]
    again = planted_arms(settings, clean.corpora["web"], lambda line: None).arms
    assert [(arm.folder / "planted.warc.gz").stat().st_mtime for arm in again] == changed


def test_fates_are_read_from_what_a_run_left(tmp_path: Path) -> None:
    def write(name: str, rows: list[dict[str, object]]) -> None:
        path = tmp_path / name / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), path)

    write("extract/removed", [{"url": "a", "language": "en", "reason": "no_main_text"}])
    write("extract/hidden", [{"address": 4, "texts": [{"kind": "comment", "text": "psst"}]}])
    write("filter/removed", [{"url": "b", "language": "en", "reason": "top_2_gram", "text": "b", "address": 2}])
    kept = [{"url": url, "language": "en", "text": f"{url}!", "address": number} for number, url in enumerate("cde", 3)]
    write("filter/documents", kept)  # type: ignore[arg-type]
    write("poison/documents", [{"url": "d", "text": "d"}])
    write("poison/held", [{"url": "c", "reason": "instructions"}])
    write("poison/removed", [{"url": "e", "reason": "blocked"}])
    write("poison/findings", [{"address": 4, "rule": "control_tokens", "outcome": "strip"}])
    found = fates(tmp_path)
    assert [found[url].stage for url in "abcde"] == ["read", "quality", "held", "kept", "removed"]
    assert found["d"] == Fate("kept", "en", None, "d!", "d", "psst", {"control_tokens": "strip"})
    assert found["c"].reason == "instructions"
