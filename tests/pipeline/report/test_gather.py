"""A report's numbers are those of the corpus that was made by hand."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.report import ReportError
from pipeline.report.data import Reason, Report
from pipeline.report.gather import gather, read_curve
from pipeline.report.removals import excerpt
from tests.pipeline.report.conftest import GOOD, PLAN, Page, Plan


@pytest.fixture(scope="module")
def report(small: str) -> Report:
    return gather(small)


def reasons(report: Report, step: str) -> dict[str, Reason]:
    (removal,) = [removal for removal in report.removals if removal.step == step]
    return {reason.word: reason for reason in removal.reasons}


def test_the_funnel_adds_up(report: Report) -> None:
    assert [stage.documents for stage in report.funnel] == [13, 12, 10, 5, 2, 2]
    for before, stage in pairwise(report.funnel):
        assert before.documents == stage.documents + sum(stage.lost.values())


def test_the_funnel_knows_the_texts_to_one_percent_and_the_tokens(make: Callable[[Plan], str]) -> None:
    pages = [Page(f"{GOOD} {number} " + "and on it goes " * 40) for number in range(600)]
    funnel = gather(make(Plan(pages))).funnel
    exact = sum(len(page.text) for page in pages)
    assert funnel[-1].text_bytes == exact
    assert funnel[2].text_bytes == pytest.approx(exact, rel=0.01)
    assert funnel[-1].tokens == sum(1 + len(page.text.split()) for page in pages)


def test_every_reason_is_counted_at_its_step(report: Report) -> None:
    counts = {
        step: {word: reason.documents for word, reason in reasons(report, step).items()}
        for step in ("extract", "filter", "dedup")
    }
    assert counts == {
        "extract": {"http_status": 1, "language": 1},
        "filter": {"too_few_words": 3, "filler": 1, "shouting": 1},
        "dedup": {"near_duplicate": 2, "duplicate_text": 1},
    }


def test_reasons_are_explained_with_the_recipe_s_settings(report: Report) -> None:
    assert reasons(report, "filter")["too_few_words"].meaning == "style: words ≥ 5"
    assert reasons(report, "filter")["filler"].meaning == "style: no filler"
    assert "(en)" in reasons(report, "extract")["language"].meaning
    assert "0.7 of word 5-grams" in reasons(report, "dedup")["near_duplicate"].meaning


def test_two_examples_are_shown_of_each_reason_those_with_the_smallest_ids(report: Report, small: str) -> None:
    from pipeline.artifact import read_batches

    (path,) = Path(small).glob("filter/removed/*.parquet")
    rows = [row for batch in read_batches(str(path)) for row in batch.to_pylist() if row["reason"] == "too_few_words"]
    first = [row["url"] for row in sorted(rows, key=lambda row: row["id"])[:2]]
    assert [example.url for example in reasons(report, "filter")["too_few_words"].examples] == first


def test_an_example_says_which_measure_broke_the_rule(report: Report) -> None:
    assert reasons(report, "filter")["shouting"].examples[0].detail == "capitals is 0.8333, wanted ≤ 0.5"
    assert reasons(report, "filter")["filler"].examples[0].detail == "filler: yes"


def test_an_example_of_a_copy_names_the_page_that_was_kept(report: Report) -> None:
    (example,) = reasons(report, "dedup")["duplicate_text"].examples
    assert (example.twin, example.similarity) == ("https://river.example/0", 1.0)


def test_excerpts_are_one_line_of_at_most_300_characters() -> None:
    assert excerpt("a\n\n b\tc") == "a b c"
    assert excerpt("x" * 300) == "x" * 300
    assert len(excerpt("x" * 301)) == 300
    assert excerpt("x" * 301).endswith("…")
    assert excerpt(None) == ""


def test_a_measure_counts_kept_and_removed_documents_and_those_that_fail(report: Report) -> None:
    words, capitals, filler = report.measures
    assert (sum(words.kept), sum(words.removed)) == (5, 5)
    assert [(rule.reason, rule.fail, rule.removed) for rule in words.thresholds] == [("too_few_words", 3, 3)]
    assert [(rule.fail, rule.removed) for rule in capitals.thresholds] == [(1, 1)]
    assert (filler.kept, filler.removed) == ((0, 5, 0, 0), (0, 4, 1, 0))


def test_a_document_that_breaks_two_rules_is_removed_for_the_first(make: Callable[[Plan], str]) -> None:
    words, capitals, _ = gather(make(Plan([Page("TWO WORDS"), Page(GOOD)]))).measures
    assert (words.thresholds[0].fail, words.thresholds[0].removed) == (1, 1)
    assert (capitals.thresholds[0].fail, capitals.thresholds[0].removed) == (1, 0)


def test_a_document_without_a_value_fails_and_is_counted(make: Callable[[Plan], str]) -> None:
    report = gather(make(Plan([Page(""), Page(GOOD)], rules=PLAN.rules[1:])))
    capitals = report.measures[1]
    assert (capitals.unmeasured, capitals.thresholds[0].fail) == (1, 1)
    (reason,) = reasons(report, "filter").values()
    assert (reason.word, reason.examples[0].detail) == ("unmeasured", "capitals could not be measured")


def test_languages_are_those_that_were_identified(report: Report) -> None:
    assert [(group.name, group.read, group.kept) for group in report.languages.top] == [("en", 10, 2), ("de", 1, 0)]


def test_hosts_are_ranked_by_what_was_kept(report: Report) -> None:
    assert [(group.name, group.kept) for group in report.hosts.top] == [("river.example", 2)]


def test_a_copy_of_a_copy_is_in_its_cluster(report: Report) -> None:
    found = report.duplicates
    assert (found.clusters, found.copies, found.sizes) == (1, 3, (("4", 1, 3),))
    (cluster,) = found.largest
    assert (cluster.size, cluster.kept) == (4, "https://river.example/0")
    assert [member.reason for member in cluster.members] == ["near_duplicate", "near_duplicate", "duplicate_text"]


def test_unreadable_records_are_named(report: Report) -> None:
    assert report.quarantine.records == 1
    (record,) = report.quarantine.first
    assert (record.warc_file, record.offset, record.reason) == ("pages.warc.gz", 7_000, "bad_gzip")


def test_tokens_are_those_of_the_shards(report: Report) -> None:
    (shard,) = report.tokens.shards
    words = [len(page.text.split()) for page in PLAN.pages[:2]]
    assert (shard.tokens, report.tokens.median) == (sum(words) + 2, round(sum(words) / 2 + 1))
    assert report.tokens.lengths is not None
    assert sum(report.tokens.lengths.kept) == 2


def test_a_corpus_that_kept_nothing_has_a_report(make: Callable[[Plan], str]) -> None:
    report = gather(make(Plan([Page("Home")])))
    assert [stage.documents for stage in report.funnel] == [1, 1, 1, 0, 0, 0]
    assert report.tokens.shards == ()


def test_a_folder_without_a_corpus_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no finished corpus here .*--output folder"):
        gather(str(tmp_path))


def test_a_missing_table_is_an_error_that_names_it(make: Callable[[Plan], str]) -> None:
    folder = make(PLAN)
    (path,) = Path(folder).glob("filter/removed/*.parquet")
    path.write_bytes(b"PAR1 not quite")
    with pytest.raises(ReportError, match=f"{path.name} can't be read"):
        gather(folder)


def test_another_format_is_an_error(make: Callable[[Plan], str]) -> None:
    folder = make(PLAN)
    path = Path(folder, "manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(ReportError, match="format 99, but this version reads format 1"):
        gather(folder)


def test_a_resumed_training_has_one_loss_a_step(tmp_path: Path) -> None:
    lines = [
        {"step": 1, "loss": 9.0, "val_loss": None, "tokens_per_second": 10.0},
        {"step": 2, "loss": 8.0, "val_loss": 8.5, "bits_per_byte": 3.1, "tokens_per_second": 30.0},
        {"step": 2, "loss": 7.0, "val_loss": 7.5, "bits_per_byte": 2.9, "tokens_per_second": 20.0},
        {"step": 3, "loss": float("nan")},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"step": 4, "lo'
    (tmp_path / "log.jsonl").write_text(text)
    curve = read_curve(str(tmp_path))
    assert (curve.steps, curve.loss) == ((1, 2), (9.0, 7.0))
    assert (curve.validation_steps, curve.validation_loss, curve.bits_per_byte) == ((2,), (7.5,), 2.9)


def test_a_folder_without_a_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no log\.jsonl here"):
        read_curve(str(tmp_path))


def test_a_log_without_a_step_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(ReportError, match="no finished step"):
        read_curve(str(tmp_path))
