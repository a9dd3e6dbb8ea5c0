"""The whole run, on a small crawl: counts add up, copies go, and what is in the way is told."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from corpuscle.summary import print_summary
from pipeline.contents import ForeignError
from pipeline.crawl.read import Archive
from pipeline.lock import LockedError, claim
from pipeline.manifest import STEPS, read_manifest
from pipeline.recipe import parse_recipe
from pipeline.replace import ReplaceError, check_replaces
from pipeline.run import find_archives, run
from pipeline.step import StepError
from tests.conftest import write_warc
from tests.pipeline.conftest import corpuscle, digests, make, rows


def test_every_record_is_accounted_for(corpus: Path, sample_pages: list) -> None:
    manifest = read_manifest(str(corpus))
    assert manifest is not None
    counts = manifest["counts"]
    assert counts["read"] == len(sample_pages)
    assert counts["read"] == counts["kept"] + counts["removed"] + counts["held"] + counts["quarantined"]
    for step in STEPS:
        own = manifest["steps"][step]["counts"]
        outcomes = sum(own.get(name, 0) for name in ("kept", "removed", "held", "quarantined"))
        assert own.get("read", 0) == outcomes


def test_copies_are_removed_and_name_what_was_kept(corpus: Path) -> None:
    (same, other) = [row for row in rows(corpus, "extract", "removed") if row["reason"] == "duplicate_payload"]
    kept = {row["address"]: row["url"] for row in rows(corpus, "extract", "documents")}
    pairs = {tuple(sorted((row["url"], kept[row["kept_address"]]))) for row in (same, other)}
    assert pairs == {
        ("https://copy.example/0", "https://host0.example/page/0"),
        ("https://copy.example/1", "https://host1.example/page/1"),
    }
    near = [row for row in rows(corpus, "dedup", "removed") if row["reason"] == "near_duplicate"]
    kept = {row["address"]: row["url"] for row in rows(corpus, "dedup", "documents")}
    pairs = {tuple(sorted((row["url"], kept[row["kept_address"]]))) for row in near}
    assert pairs == {
        ("https://host2.example/page/2", "https://near.example/2"),
        ("https://host3.example/page/3", "https://near.example/3"),
    }
    assert all(0.6 <= row["similarity"] < 1 for row in near)


def test_the_shards_hold_every_kept_document_once(corpus: Path) -> None:
    kept = {row["id"] for row in rows(corpus, "dedup", "documents")}
    manifest = read_manifest(str(corpus), "tokenize")
    assert manifest is not None
    assert len(manifest["files"]) > 2
    found: list[bytes] = []
    hosts: dict[str, set[str]] = {"train": set(), "validation": set()}
    for file in manifest["files"]:
        shard = pa.ipc.open_file(f"{corpus}/tokenize/{file['name']}").get_batch(0)
        found += shard.column("id").to_pylist()
        hosts[file["split"]] |= {url.split("/")[2] for url in shard.column("url").to_pylist()}
        assert file["tokens"] == sum(map(len, shard.column("tokens").to_pylist()))
    assert len(found) == len(set(found))
    assert set(found) == kept
    assert not hosts["train"] & hosts["validation"]
    assert hosts["validation"]


def test_a_second_run_does_nothing(corpus: Path, sample_crawl: Path, recipe: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*") if path.is_file()}
    ran = corpuscle("run", str(recipe), "--input", f"{sample_crawl}/*.warc.gz", "--output", str(corpus), "--no-report")
    assert "Nothing to do" in ran.stdout
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*") if path.is_file()} == before


def test_an_input_that_matches_nothing_is_told(recipe: Path, tmp_path: Path) -> None:
    ran = corpuscle(
        "run", str(recipe), "--input", f"{tmp_path}/*.warc.gz", "--output", str(tmp_path / "out"), check=False
    )
    assert ran.returncode == 1
    assert f"--input {tmp_path}/*.warc.gz: no file matches. Looked in {tmp_path}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_faulty_recipe_is_told_before_anything_runs(sample_crawl: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\ncrawl:\n  languges: [en]\n")
    ran = corpuscle("run", str(bad), "--input", f"{sample_crawl}/*", "--output", str(tmp_path / "out"), check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {bad}:3: unknown key crawl.languges")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_vocabulary_that_the_text_does_not_fill_is_told_with_the_recipes_line(
    sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.yaml"
    large.write_text(recipe.read_text().replace("vocabulary_size: 600", "vocabulary_size: 50000"))
    inputs = ["--input", f"{sample_crawl}/*", "--output", str(tmp_path / "out")]
    told = corpuscle("run", str(large), *inputs, "--", "--direct_num_workers=1", check=False).stderr.splitlines()[-1]
    assert told.startswith(f"error: {large}:8: tokenize.vocabulary_size is 50,000, but the sample (")
    assert told.endswith(" or fewer, or give more text.")


def test_another_input_does_not_take_a_corpuss_place_unasked(
    corpus: Path, sample_pages: list, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    folder, other = shutil.copytree(corpus, tmp_path / "out"), tmp_path / "other"
    write_warc(other / "other.warc.gz", sample_pages[:60])
    with pytest.raises(ReplaceError, match="holds a corpus of 3 archives, recipe small, .* Give --replace"):
        make(recipe, other, folder)
    assert digests(folder) == digests(corpus)
    said: list[str] = []
    parsed = parse_recipe(recipe.read_text(), "test.yaml")
    run(parsed, [f"{other}/*"], str(folder), ["--runner=FnApiRunner"], replace=True, say=said.append)
    assert said[0].endswith("documents; it is replaced by one of 1 archive, recipe small.")
    assert read_manifest(str(folder), "index")["inputs"][0]["warc_file"] == "other.warc.gz"  # type: ignore[index]


def test_a_stopped_runs_folder_is_not_taken_by_another_input(
    corpus: Path, sample_pages: list, recipe: Path, tmp_path: Path
) -> None:
    folder, other = shutil.copytree(corpus, tmp_path / "out"), tmp_path / "other"
    for name in ("", *STEPS):
        (folder / name / "manifest.json").unlink()
    write_warc(other / "other.warc.gz", sample_pages[:60])
    with pytest.raises(ReplaceError, match="holds an unfinished run over 3 archives, of another input"):
        make(recipe, other, folder)


def test_archives_that_were_moved_or_joined_by_others_are_the_same_input(
    corpus: Path, sample_pages: list, sample_crawl: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(sample_crawl, tmp_path / "moved")
    archives = find_archives([f"{moved}/*"])
    assert "is brought up to date with recipe new" in str(check_replaces(str(corpus), archives, "new", False))
    write_warc(moved / "other.warc.gz", sample_pages[:5])
    archives = find_archives([f"{moved}/*"])
    assert "grows to one of 4 archives, recipe new" in str(check_replaces(str(corpus), archives, "new", False))


def test_a_corpus_does_not_shrink_unasked(corpus: Path, sample_crawl: Path, tmp_path: Path) -> None:
    archives = find_archives([f"{sample_crawl}/*"])
    for given in (archives[:2], [*archives[:2], Archive("/new.warc.gz", "new.warc.gz", 1, 0)]):
        with pytest.raises(ReplaceError, match=r"3 archives, .*, and 1 of these \(pages-2.warc.gz\) is not among the "):
            check_replaces(str(corpus), given, "small", False)
    told = check_replaces(str(corpus), archives[:2], "small", True)
    assert "it is replaced by one of 2 archives" in str(told)


def test_a_folder_that_is_being_written_is_refused(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    with claim(str(tmp_path)), pytest.raises(LockedError, match=f"another run .* is writing {tmp_path}"):
        make(recipe, sample_crawl, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("theirs", ["precious.txt", "manifest.json", "index/my.txt", "filter/sub/my.txt"])
def test_a_folder_with_others_files_is_refused_and_left_as_it_is(
    theirs: str, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    file = tmp_path / "out" / theirs
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    ran = corpuscle("run", str(recipe), "--input", f"{sample_crawl}/*", "--output", str(tmp_path / "out"), check=False)
    told = f"error: {tmp_path}/out has something in it that no run made: {theirs}. Nothing was written; "
    assert (ran.returncode, ran.stderr.startswith(told)) == (1, True), ran.stderr
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [file]


def test_a_corpus_with_others_files_among_the_steps_is_not_swept(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(corpus, tmp_path / "out")
    (folder / "documents.md").write_text("beside the steps")
    (folder / "poison/documents/my.parquet").write_text("mine")
    with pytest.raises(ForeignError, match="no run made: poison/documents/my.parquet. "):
        make(recipe, sample_crawl, folder, **{"gopher_quality:": "gopher_quality: {min_words: 60}"})
    assert read_manifest(str(folder)) is not None
    (folder / "poison/documents/my.parquet").unlink()
    (folder / "poison/.mine").write_text("hidden")
    make(recipe, sample_crawl, folder, **{"dedup:": "poison: {enabled: false}\ndedup:"})
    assert (folder / "documents.md").read_text() == "beside the steps"
    assert [str(path.relative_to(folder)) for path in (folder / "poison").rglob("*")] == ["poison/.mine"]


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_stop_a_run(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    command = ["run", str(recipe), *map(str, sample_crawl.iterdir()), "--output", str(tmp_path / "out"), "--no-report"]
    process = subprocess.Popen(
        [sys.executable, "-m", "corpuscle.main", *command, "--", "--runner=FnApiRunner"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 0
    assert (tmp_path / "out/manifest.json").exists()


def test_the_summary_names_what_could_not_be_read(
    sample_pages: list, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crawl, folder = tmp_path / "crawl", tmp_path / "out"
    write_warc(crawl / "good.warc.gz", sample_pages)
    for number in range(6):
        (crawl / f"junk{number}.warc").write_text("junk\n")
    (crawl / "none.warc.gz").write_bytes(gzip.compress(b""))
    print_summary(make(recipe, crawl, folder), str(folder))
    told = capsys.readouterr().out
    assert "6 could not be read:\n  junk0.warc, byte 0: not_warc: expected a record" in told
    assert f"  1 more: {folder}/index/quarantine\n" in told
    assert "none.warc.gz: no page in it (20 bytes)" in told


def test_a_corpus_of_nothing_says_so(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict.yaml"
    strict.write_text(recipe.read_text().replace("languages: [en]", "languages: [fi]"))
    arguments = ("run", str(strict), "--input", f"{sample_crawl}/*", "--output", str(tmp_path / "out"), "--no-report")
    ran = corpuscle(*arguments, "--", "--runner=FnApiRunner", check=False)
    assert ran.returncode == 3
    assert "No document was kept" in ran.stdout
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["counts"]["removed"] == manifest["counts"]["read"]


@pytest.mark.slow
def test_every_odd_archive_is_read_or_refused_with_a_reason(shared_data: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose.yaml"
    loose.write_text(
        "name: loose\ncrawl: {extractor: resiliparse, min_language_score: 0}\ntokenize: {vocabulary_size: 400}\n"
    )
    folder = tmp_path / "out"
    corpuscle("run", str(loose), "--input", f"{shared_data}/archives/*/*", "--output", str(folder), "--no-report")
    manifest = read_manifest(str(folder), "index")
    assert manifest is not None
    files = sum(path.is_file() for path in (shared_data / "archives").glob("*/*"))
    assert len(manifest["inputs"]) == files
    marked = [json.loads(path.read_text()) for path in (folder / "index/parts").glob("*.json")]
    assert all(part["counts"] or part["extra"]["bytes"] <= 2 for part in marked)  # an empty file, a bare line end
    quarantined = rows(folder, "index", "quarantine")
    assert len(quarantined) == manifest["counts"]["quarantined"]
    assert all(row["error"] and row["warc_offset"] >= 0 for row in quarantined)
    refused = {row["warc_file"]: row["error"] for row in quarantined if row["reason"] == "arc"}
    assert refused
    assert all("warcio recompress" in error for error in refused.values())


def test_many_splits_an_archive_give_the_same_bytes(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.crawl.plan.SMALLEST_SPLIT", 4_000)
    make(recipe, sample_crawl, tmp_path)
    assert len(list((tmp_path / "extract/parts").iterdir())) > 12
    assert digests(tmp_path) == digests(corpus)


def test_shards_without_documents_are_written_too(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    manifest = make(recipe, sample_crawl, tmp_path, **{"shard_tokens: 8000": "shard_tokens: 1000"})
    assert 0 in [shard["documents"] for shard in manifest["shards"]]
    assert sum(shard["documents"] for shard in manifest["shards"]) == manifest["counts"]["kept"]


@pytest.mark.slow
def test_a_renamed_archive_changes_the_lineage(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    crawl = shutil.copytree(sample_crawl, tmp_path / "crawl")
    make(recipe, crawl, tmp_path / "out")
    (crawl / "pages-0.warc.gz").rename(crawl / "renamed.warc.gz")
    make(recipe, crawl, tmp_path / "out", replace=True)
    make(recipe, crawl, tmp_path / "fresh")
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")
    assert "renamed.warc.gz" in {row["warc_file"] for row in rows(tmp_path / "out", "extract", "documents")}


@pytest.mark.slow
def test_a_removed_archive_leaves_nothing_behind(sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    crawl = shutil.copytree(sample_crawl, tmp_path / "crawl")
    make(recipe, crawl, tmp_path / "out")
    (crawl / "pages-0.warc.gz").unlink()
    make(recipe, crawl, tmp_path / "out", replace=True)
    make(recipe, crawl, tmp_path / "fresh")
    found, fresh = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "out", tmp_path / "fresh")
    )
    assert found == fresh


def test_a_damaged_file_is_made_again(corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(corpus, tmp_path / "out")
    shard = folder / "tokenize/train-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:100])
    next((folder / "dedup/documents").iterdir()).write_bytes(b"")
    make(recipe, sample_crawl, folder)
    assert digests(folder) == digests(corpus)
    assert shard.stat().st_size > 100


def test_a_page_does_not_go_for_an_error_page_with_its_body(sample_pages: list, recipe: Path, tmp_path: Path) -> None:
    body = sample_pages[5][1]
    write_warc(tmp_path / "crawl/a.warc.gz", [("https://a.example/gone", body)], status="404 Not Found")
    write_warc(tmp_path / "crawl/b.warc.gz", [("https://a.example/there", body), ("https://a.example/copy", body)])
    folder = tmp_path / "out"
    make(
        recipe,
        tmp_path / "crawl",
        folder,
        **{"vocabulary_size: 600": "vocabulary_size: 362", "fraction: 0.1": "fraction: 0"},
    )
    assert len(rows(folder, "extract", "documents")) == 1
    reasons = sorted(row["reason"] for row in rows(folder, "extract", "removed"))
    assert reasons == ["duplicate_payload", "http_status"]


def test_a_crawl_of_one_held_out_host_is_told(sample_pages: list, recipe: Path, tmp_path: Path) -> None:
    write_warc(
        tmp_path / "crawl/a.warc.gz", [(f"https://a.example/{n}", page) for n, (_, page) in enumerate(sample_pages)]
    )
    with pytest.raises(StepError, match=r"held out for validation.*Lower tokenize.validation_fraction"):
        make(recipe, tmp_path / "crawl", tmp_path / "out", **{"fraction: 0.1": "fraction: 0.999999"})


def test_a_job_that_can_not_start_leaves_the_corpus_as_it_was(
    corpus: Path, sample_crawl: Path, recipe: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(corpus, tmp_path / "out")
    other = tmp_path / "other.yaml"
    other.write_text(recipe.read_text().replace("similarity: 0.6", "similarity: 0.9"))
    arguments = ("run", str(other), "--input", f"{sample_crawl}/*", "--output", str(folder), "--", "--runner=Nonsense")
    ran = corpuscle(*arguments, check=False)
    assert ran.returncode == 1
    assert "Nonsense" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert digests(folder) == digests(corpus)


def test_what_steers_a_terminal_does_not_reach_it(tmp_path: Path, sample_pages: list, recipe: Path) -> None:
    url = "https://a.example/\x1b]0;owned\x07"
    write_warc(tmp_path / "crawl/a.warc.gz", [(url, sample_pages[5][1])])
    changes = {"vocabulary_size: 600": "vocabulary_size: 362", "fraction: 0.1": "fraction: 0"}
    make(recipe, tmp_path / "crawl", tmp_path / "out", **changes)
    told = corpuscle("explain", str(tmp_path / "out"), "train-00000:0").stdout
    assert "https://a.example/" in told
    assert "\x1b" not in told
