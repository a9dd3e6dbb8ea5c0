"""The history of a token, a document or a URL, as `corpuscle explain` tells it."""

from pathlib import Path

import pytest

from pipeline.explain import ExplainError, explain
from pipeline.tokenize.reader import EmptyCorpusError, ShardSet
from tests.conftest import write_warc
from tests.pipeline.conftest import corpuscle, make


def test_it_goes_from_a_token_to_the_record_and_back(corpus: Path) -> None:
    told = corpuscle("explain", str(corpus), "train-00000:7").stdout
    url = next(line.split()[1] for line in told.splitlines() if line.startswith("url "))
    assert "payload digest matches" in told
    assert "train-00000:0 to train-00000:" in told
    assert "both included" in told
    assert told.count("language = en") == 1
    assert corpuscle("explain", str(corpus), url).stdout in told


def test_it_names_the_twin_of_a_copy(corpus: Path) -> None:
    told = corpuscle("explain", str(corpus), "https://near.example/2").stdout
    other = corpuscle("explain", str(corpus), "https://host2.example/page/2").stdout
    removed, kept = (told, other) if "near_duplicate" in told else (other, told)
    assert "dedup            removed: near_duplicate; kept instead: https://" in removed
    assert "tokens           " in kept


def test_it_takes_a_shards_path(corpus: Path) -> None:
    (story,) = explain(str(corpus), "tokenize/train-00000.arrow:7")
    assert story.token is not None
    assert (story.token.shard, story.token.position) == ("train-00000", 7)


@pytest.mark.parametrize("target", ["train-00000:-1", "train-00000:abc", "train-00000"])
def test_it_says_that_a_token_is_a_number(corpus: Path, target: str) -> None:
    with pytest.raises(ExplainError, match=f"'{target}' names a shard, but no token of it; expected a number from 0"):
        explain(str(corpus), target)


@pytest.mark.parametrize("target", ["http://near.example/2", "https://www.near.example/2/", "near.example/2"])
def test_it_offers_the_url_that_was_nearly_given(corpus: Path, target: str) -> None:
    with pytest.raises(ExplainError, match="Near it: https://near.example/2\\."):
        explain(str(corpus), target)


def test_it_shows_the_measure_that_decided_with_its_threshold(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    make(recipe, sample_crawl, tmp_path / "out", **{"gopher_quality:": "gopher_quality: {min_words: 100000}"})
    (story,) = explain(str(tmp_path / "out"), "https://host4.example/page/4")
    station = story.stations[-1]
    assert (station.step, station.outcome, station.reason) == ("filter", "removed", "too_few_words")
    assert station.decisive == "gopher_quality.words"
    assert station.because == f"gopher_quality.words is {station.measures['gopher_quality.words']}, wanted ≥ 100k"
    with pytest.raises(ExplainError, match="this corpus kept no document, so it has no shards"):
        explain(str(tmp_path / "out"), "train-00000:0")
    with pytest.raises(EmptyCorpusError, match="this corpus kept no document; its report.html says where"):
        ShardSet(tmp_path / "out")


def test_it_says_which_language_was_wanted(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    make(recipe, sample_crawl, tmp_path / "out", **{"languages: [en]": "languages: [fi, eo]"})
    (story,) = explain(str(tmp_path / "out"), "https://host4.example/page/4")
    assert story.stations[-1].because == "not in a wanted language (fi, eo)"


def test_it_says_where_it_looked_for_an_archive(sample_pages: list, recipe: Path, tmp_path: Path) -> None:
    write_warc(tmp_path / "crawl/a.warc.gz", sample_pages)
    make(recipe, tmp_path / "crawl", tmp_path / "out")
    (tmp_path / "crawl/a.warc.gz").rename(tmp_path / "b.warc.gz")
    (story,) = explain(str(tmp_path / "out"), "train-00000:0")
    assert story.record.startswith("can't be read now: it is not there. Looked for ")
    assert f"{tmp_path}/crawl/a.warc.gz" in story.record


@pytest.mark.parametrize("target", ["train-00000:99999999", "train-00099:0", "https://nowhere.example/", "0" * 32])
def test_it_says_what_it_did_not_find(corpus: Path, target: str) -> None:
    ran = corpuscle("explain", str(corpus), target, check=False)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(f"error: {corpus}: ")
