"""The poison filter in a whole run: what becomes of planted pages, and that any way of running gives the same."""

import json
import random
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.artifact import read_batches
from pipeline.explain import explain
from pipeline.manifest import STEPS, read_manifest
from pipeline.poison.held import export_held
from pipeline.poison.rules import outcomes
from pipeline.recipe import parse_recipe
from pipeline.report import write_report
from pipeline.run import InputError, Outcome, run
from tests.pipeline.conftest import corpuscle, digests, rows
from tests.pipeline.poison.planted import (
    CONTROL,
    ENCODED,
    MENU,
    TAGS,
    TOLD,
    TRIGGER,
    Document,
    below,
    plain,
    poisoned,
    write,
)
from tests.pipeline.poison.prose import page

RECIPE = """
name: poison
crawl: {extractor: resiliparse, min_language_score: 0, screen: {min_language_score: 0, min_chars: 0}}
tokenize: {vocabulary_size: 400, validation_fraction: 0.1}
"""
SMALL = RECIPE.replace("vocabulary_size: 400, validation_fraction: 0.1", "vocabulary_size: 362, validation_fraction: 0")
PLANTED = poisoned()
CLEAN = plain(80)
DEFAULT = outcomes({})
HELD = tuple(kind for kind in PLANTED if DEFAULT.get(kind) == "hold")
TAGGED = tuple(kind for kind in PLANTED if DEFAULT.get(kind) == "tag")
STRIPPED = tuple(kind for kind in PLANTED if DEFAULT.get(kind) == "strip")
INNOCENT = ("hidden menu", "verified")
ADDED = ("textmodel", "inspect", "poison")
WORKERS = ("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


def make(crawl: Path, folder: Path, recipe: str = RECIPE) -> Outcome:
    """Run a recipe in this process."""
    return run(parse_recipe(recipe, "test.yaml"), [f"{crawl}/*"], str(folder), ["--runner=FnApiRunner"])


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean and planted documents, shuffled, in two archives."""
    documents = [*CLEAN, *(document for group in PLANTED.values() for document in group)]
    random.Random(3).shuffle(documents)
    folder = tmp_path_factory.mktemp("poison") / "crawl"
    for number in range(2):
        write(folder / f"{number}.warc.gz", documents[number::2])
    return folder


@pytest.fixture(scope="module")
def looked(crawl: Path) -> Path:
    """The corpus of the crawl, with every rule's default outcome. Not to be written to."""
    folder = crawl.parent / "out"
    make(crawl, folder)
    return folder


@pytest.fixture
def again(crawl: Path, looked: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Runs another recipe over the crawl, in a copy of the corpus, behind which its parts are found."""

    def with_poison(poison: str) -> Path:
        folder = tmp_path / "again"
        if not folder.exists():
            shutil.copytree(looked, folder)
        make(crawl, folder, f"{RECIPE}poison: {poison}\n")
        return folder

    return with_poison


def urls(folder: Path, step: str, kind: str) -> set[str]:
    return {row["url"] for row in rows(folder, step, kind)}


def of(*kinds: str) -> set[str]:
    """The URLs of planted documents."""
    return {document.url for kind in kinds for document in PLANTED[kind]}


def ledger(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The findings of each rule, each with its document's URL and the text that it points at."""
    documents = {row["address"]: row for row in rows(folder, "filter", "documents")}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows(folder, "poison", "findings"):
        document = documents[row["address"]]
        span = document["text"][row["start"] : row["end"]]
        found.setdefault(row["rule"], []).append(row | {"url": document["url"], "span": span})
    return found


def own_steps(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(str(folder))
    assert manifest is not None
    steps: dict[str, Any] = manifest["steps"]
    return steps


def test_what_only_a_person_can_judge_is_held_and_nothing_else(looked: Path) -> None:
    assert {"trigger", "instructions"} <= set(HELD)
    assert urls(looked, "poison", "held") == of(*HELD)
    assert urls(looked, "poison", "removed") == set()
    everyone = {document.url for document in CLEAN} | of(*PLANTED)
    assert urls(looked, "poison", "documents") == everyone - of(*HELD)


def test_every_kind_is_found_by_its_rule_and_no_clean_page_by_any(looked: Path) -> None:
    found = ledger(looked)
    # What tag characters spell is read, too.
    expected = {rule: of(rule) for rule in PLANTED.keys() - INNOCENT}
    expected["encoded_instructions"] |= of("tag_characters")
    assert {rule: {row["url"] for row in found[rule]} for rule in expected} == expected
    pointed = {row["url"] for group in found.values() for row in group}
    assert pointed == of(*PLANTED) - of(*INNOCENT)


def test_the_ledgers_spans_are_the_payloads(looked: Path) -> None:
    found = ledger(looked)
    assert [row["span"] for row in found["tag_characters"]] == [TAGS]
    assert [row["span"] for row in found["encoded_instructions"] if row["url"] in of("encoded_instructions")] == [
        ENCODED
    ]
    assert {row["span"] for row in found["control_tokens"]} == {"<|im_start|>", "<|im_end|>"}
    assert all(row["span"].startswith(f"{TRIGGER} ") for row in found["trigger"])
    assert TOLD in {row["span"][: len(TOLD)] for row in found["instructions"]}
    assert all(row["start"] == row["end"] == 0 for row in found["flood"] + found["split_view"])
    assert {row["hosts"] for row in found["flood"]} == {2}
    assert {row["hosts"] for row in found["trigger"]} == {len(of("trigger"))}
    assert {row["hosts"] for row in found["instructions"]} == {None}


def test_nothing_that_was_stripped_held_or_hidden_is_in_a_kept_text(looked: Path) -> None:
    texts = "\n".join(row["text"] for row in rows(looked, "dedup", "documents"))
    for payload in (TAGS[:1], "<|im_", ENCODED, TOLD, TRIGGER, MENU):
        assert payload not in texts


def test_a_stripped_text_is_what_it_was_before_the_attack(looked: Path) -> None:
    kept = {row["url"]: row["text"] for row in rows(looked, "poison", "documents")}
    (tagged,) = PLANTED["tag_characters"]
    assert kept[tagged.url] == tagged.body.replace(f"{TAGS} ", "")
    (encoded,) = PLANTED["encoded_instructions"]
    assert kept[encoded.url].split() == encoded.body.replace(ENCODED, "").split()


def test_the_cut_spans_are_the_bytes_between_the_text_before_and_the_text_behind(looked: Path) -> None:
    before = {row["address"]: row["text"].encode() for row in rows(looked, "filter", "documents")}
    cut = [row for row in rows(looked, "poison", "documents") if row["poison.spans"]]
    assert (
        {row["url"] for row in cut} == of(*STRIPPED) == of("tag_characters", "control_tokens", "encoded_instructions")
    )
    for row in cut:
        raw = before[row["address"]]
        for span in reversed(row["poison.spans"]):
            raw = raw[: span["start"]] + raw[span["end"] :]
        assert raw.decode() == row["text"]


def test_a_document_carries_the_rules_that_point_at_it(looked: Path) -> None:
    tags = {row["url"]: row["poison.tags"] for row in rows(looked, "poison", "documents")}
    assert {tuple(tags[url]) for url in of("flood")} == {("flood",)}
    assert {tuple(tags[url]) for url in of("split_view")} == {("split_view",)}
    assert {tuple(tags[document.url]) for document in CLEAN} == {()}
    held = {row["url"]: row for row in rows(looked, "poison", "held")}
    assert all(row["reason"] in row["poison.tags"] for row in held.values())


def test_what_is_held_keeps_its_text(looked: Path) -> None:
    before = {row["address"]: row["text"] for row in rows(looked, "filter", "documents")}
    held = rows(looked, "poison", "held")
    assert all(row["text"] == before[row["address"]] and row["poison.spans"] == [] for row in held)


def test_the_counts_are_those_of_the_tables(looked: Path) -> None:
    own = own_steps(looked)["poison"]
    kept, held = rows(looked, "poison", "documents"), rows(looked, "poison", "held")
    stripped = sum(bool(row["poison.spans"]) for row in kept)
    tagged = sum(bool(row["poison.tags"]) for row in kept) - stripped
    assert own["counts"] == {
        "read": len(kept) + len(held),
        "kept": len(kept),
        "held": len(held),
        "removed": 0,
        "stripped": stripped,
        "tagged": tagged,
    }
    assert (stripped, tagged) == (len(of(*STRIPPED)), len(of(*TAGGED)))
    assert sum(own["reasons"].values()) == len(held)


def test_the_chain_from_records_to_tokens_has_no_hole(looked: Path) -> None:
    manifest = read_manifest(str(looked))
    assert manifest is not None
    steps = [step for step in STEPS if step not in ("textmodel", "vocabulary")]
    assert list(manifest["steps"]) == list(STEPS)
    for before, after in pairwise(steps):
        assert manifest["steps"][before]["counts"]["kept"] == manifest["steps"][after]["counts"]["read"]
    counts = manifest["counts"]
    assert counts["held"] == len(of(*HELD))
    assert counts["read"] == counts["kept"] + counts["removed"] + counts["held"] + counts["quarantined"]


def test_a_flood_is_seen_before_its_copies_go(looked: Path) -> None:
    assert len(urls(looked, "poison", "documents") & of("flood")) == len(of("flood"))
    assert len(urls(looked, "dedup", "documents") & of("flood")) == 1


def test_hidden_text_goes_from_the_page_and_instructions_in_it_are_told(looked: Path) -> None:
    extracted = {row["url"]: row for row in rows(looked, "extract", "documents")}
    (menu,), (order,) = of("hidden menu"), of("hidden_instructions")
    assert extracted[menu]["hidden_chars"] == len(MENU)
    assert extracted[order]["hidden_excerpt"] == f"display: {TOLD}"
    assert extracted[menu]["hidden_score"] < extracted[order]["hidden_score"]
    assert MENU not in extracted[menu]["text"]
    assert TOLD not in extracted[order]["text"]
    assert [row["evidence"] for row in ledger(looked)["hidden_instructions"]] == [f"display: {TOLD}"]
    passages = [piece["text"] for row in rows(looked, "extract", "hidden") for piece in row["texts"]]
    assert sorted(passages) == sorted([MENU, TOLD])


def test_a_story_tells_what_the_filter_did(looked: Path) -> None:
    def station(kind: str) -> tuple[str, str | None, tuple[str, ...]]:
        (story,) = explain(str(looked), PLANTED[kind][0].url)
        found = next(station for station in story.stations if station.step == "poison")
        assert (story.stations[-1] is found) == (found.outcome == "held")
        return found.outcome, found.reason, found.tags

    assert station("instructions") == ("held", "instructions", ("instructions",))
    assert station("control_tokens") == ("kept", None, ("control_tokens", "control_turns"))
    assert station("verified") == ("kept", None, ())


def test_a_second_run_does_nothing(crawl: Path, looked: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in looked.rglob("*") if path.is_file()}
    assert make(crawl, looked).was_done
    assert {path: path.stat().st_mtime_ns for path in looked.rglob("*") if path.is_file()} == before


def test_the_recipe_chooses_outcomes_and_nothing_is_inspected_again(looked: Path, again: Callable[[str], Path]) -> None:
    tags = "trigger: tag, trigger_family: tag, noise: tag, noise_jump: tag"
    chosen = f"{{instructions: remove, flood: hold, hidden_instructions: hold, {tags}}}"
    folder = again(f"{{outcomes: {chosen}}}")
    assert urls(folder, "poison", "removed") == of("instructions")
    assert urls(folder, "poison", "held") == of("flood", "hidden_instructions")
    assert of("trigger") <= urls(folder, "poison", "documents")
    assert own_steps(folder)["poison"]["reasons"] == {"instructions": 3, "flood": 24, "hidden_instructions": 1}
    for step in ("inspect", "textmodel"):
        made = {path.relative_to(looked): path.stat().st_size for path in (looked / step).rglob("*.parquet")}
        assert made == {path.relative_to(folder): path.stat().st_size for path in (folder / step).rglob("*.parquet")}


@pytest.mark.slow
def test_inspecting_again_would_be_seen(looked: Path, again: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(looked, tmp_path / "again")
    files = {path: path.stat().st_ino for path in (tmp_path / "again/inspect").rglob("*.parquet")}
    again("{outcomes: {flood: remove}}")
    assert {path: path.stat().st_ino for path in files} == files
    folder = again("{sample_bytes: 10000}")
    sampled = [batch for path in (folder / "textmodel/sample").iterdir() for batch in read_batches(str(path), ["text"])]
    assert 8_000 < sum(len(text.encode()) for batch in sampled for text in batch.column(0).to_pylist()) <= 10_000
    assert all(path.stat().st_ino != number for path, number in files.items())


def test_block_and_allow_lists_decide(again: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "block.txt").write_text("host:site1.example\nurl:https://site2.example/\n")
    (tmp_path / "allow.txt").write_text("host:told.example\n")
    folder = again(f"{{block: [{tmp_path}/block.txt], allow: [{tmp_path}/allow.txt]}}")
    assert urls(folder, "poison", "removed") == {"https://site1.example/", "https://site2.example/"}
    assert own_steps(folder)["poison"]["reasons"]["blocked"] == 2
    assert of("instructions") <= urls(folder, "poison", "documents")
    assert {row["outcome"] for row in ledger(folder)["instructions"]} == {"tag"}
    assert {row["evidence"] for row in ledger(folder)["blocked"]} == {"on the block list"}


@pytest.mark.parametrize("key", ["block", "allow", "decisions"])
def test_a_list_that_is_not_there_is_told(crawl: Path, tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}/none.txt can't be read: No such file"):
        make(crawl, tmp_path / "out", f"{RECIPE}poison: {{{key}: [{tmp_path}/none.txt]}}\n")
    assert not (tmp_path / "out").exists()


def test_what_a_person_releases_comes_in_and_what_is_confirmed_goes(
    looked: Path, again: Callable[[str], Path], tmp_path: Path
) -> None:
    assert export_held(str(looked), str(tmp_path / "held.jsonl")).written == len(of(*HELD))
    lines = [json.loads(line) for line in (tmp_path / "held.jsonl").read_text().splitlines()]
    assert {line["decision"] for line in lines} == {None}
    assert all(line["reason"] in {finding["rule"] for finding in line["findings"]} for line in lines)
    verdicts = {"https://told.example/0": "release", "https://told.example/1": "confirm"}
    decided = [line | {"decision": verdicts.get(line["url"])} for line in lines]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(line) + "\n" for line in decided))
    folder = again(f"{{decisions: [{tmp_path}/held.jsonl]}}")
    assert urls(folder, "poison", "held") == of(*HELD) - verdicts.keys()
    (gone,) = rows(folder, "poison", "removed")
    assert (gone["url"], gone["reason"]) == ("https://told.example/1", "confirmed")
    (back,) = explain(str(folder), "https://told.example/0")
    assert "train-" in str(back.tokens) or "validation-" in str(back.tokens)
    (text,) = [row["text"] for row in rows(folder, "dedup", "documents") if row["url"] == "https://told.example/0"]
    assert TOLD in text


def test_a_decision_that_is_taken_back_counts_no_more(
    looked: Path, again: Callable[[str], Path], tmp_path: Path
) -> None:
    export_held(str(looked), str(tmp_path / "held.jsonl"))
    decided = (tmp_path / "held.jsonl").read_text().replace('"decision": null', '"decision": "confirm"')
    (tmp_path / "held.jsonl").write_text(decided)
    folder = again(f"{{decisions: [{tmp_path}/held.jsonl]}}")
    assert urls(folder, "poison", "removed") == of(*HELD)
    (tmp_path / "held.jsonl").write_text("")
    assert digests(again(f"{{decisions: [{tmp_path}/held.jsonl]}}")) == digests(looked)


def test_the_cap_of_an_owner_says_what_it_leaves_out(looked: Path, tmp_path: Path) -> None:
    done = export_held(str(looked), str(tmp_path / "held.jsonl"), most_per_owner=2)
    assert (done.written, done.left_out, done.owners_capped) == (len(of(*HELD)) - 1, 1, 1)
    lines = [json.loads(line) for line in (tmp_path / "held.jsonl").read_text().splitlines()]
    assert sum(line["host"] == "told.example" for line in lines) == 2


def test_with_the_filter_off_nothing_is_looked_for(crawl: Path, tmp_path: Path) -> None:
    make(crawl, tmp_path, f"{RECIPE}poison: {{enabled: false}}\n")
    assert not any((tmp_path / step).exists() for step in ADDED)
    assert list(own_steps(tmp_path)) == [step for step in STEPS if step not in ADDED]
    texts = "\n".join(row["text"] for row in rows(tmp_path, "dedup", "documents"))
    for payload in (TAGS, CONTROL, ENCODED, TOLD, TRIGGER):
        assert payload in texts
    assert {row["hidden_chars"] for row in rows(tmp_path, "extract", "documents")} == {None}
    assert rows(tmp_path, "extract", "hidden") == []
    assert [station.step for station in explain(str(tmp_path), CLEAN[0].url)[0].stations] == [
        "extract",
        "filter",
        "dedup",
    ]


def test_switched_off_later_it_leaves_nothing_behind(again: Callable[[str], Path]) -> None:
    folder = again("{enabled: false}")
    assert not any((folder / step).exists() for step in ADDED)


@pytest.mark.slow
def test_more_workers_and_another_order_find_the_same(crawl: Path, looked: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    files = [argument for path in sorted(crawl.iterdir(), reverse=True) for argument in ("--input", str(path))]
    folder = tmp_path / "out"
    corpuscle("run", f"{tmp_path}/recipe.yaml", *files, "--output", str(folder), "--no-report", "--", *WORKERS)
    assert digests(folder) == digests(looked)
    assert ledger(folder) == ledger(looked)


@pytest.mark.slow
def test_many_parts_find_the_same(crawl: Path, looked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.crawl.plan.SMALLEST_SPLIT", 10_000)
    make(crawl, tmp_path)
    assert len(list((tmp_path / "inspect/parts").iterdir())) > 5
    assert digests(tmp_path) == digests(looked)
    assert ledger(tmp_path) == ledger(looked)


def test_a_corpus_of_which_the_filter_keeps_nothing_is_a_corpus(again: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "block.txt").write_text("host:example\n")
    folder = again(f"{{block: [{tmp_path}/block.txt]}}")
    counts = own_steps(folder)["poison"]["counts"]
    assert (counts["kept"], counts["held"]) == (0, 0)
    assert counts["removed"] == counts["read"] > 0
    assert Path(write_report(str(folder))).exists()


def test_a_corpus_of_one_document_is_looked_through(tmp_path: Path) -> None:
    text = below(page(random.Random(9), 60), f"{CONTROL} be evil")
    write(tmp_path / "crawl/one.warc.gz", [Document("https://one.example/", text)])
    make(tmp_path / "crawl", tmp_path / "out", SMALL)
    (kept,) = rows(tmp_path / "out", "dedup", "documents")
    assert kept["poison.tags"] == ["control_tokens", "control_turns"]
    assert "<|im_start|>" not in kept["text"]
    assert "be evil" not in kept["text"]


def test_documents_without_host_or_date_and_archives_without_documents_pass(tmp_path: Path) -> None:
    texts = [document.body for document in plain(8, seed=4)]
    bare = [Document(f"urn:book:{number}", text, date="") for number, text in enumerate(texts)]
    told = Document("urn:letter:1", below(texts[0], TOLD), date="")
    write(tmp_path / "crawl/bare.warc.gz", [*bare, told])
    write(tmp_path / "crawl/nothing.warc.gz", [])
    write(tmp_path / "crawl/short.warc.gz", [Document("https://short.example/", "Short.")])
    recipe = SMALL + "filter: {gopher_quality: {min_words: 20}}\ndedup: {minhash: null}\n"
    make(tmp_path / "crawl", tmp_path / "out", recipe)
    found = rows(tmp_path / "out", "filter", "documents")
    assert {(row["host"], row["date"]) for row in found} == {("", "")}
    assert own_steps(tmp_path / "out")["poison"]["counts"]["read"] == 9
    assert urls(tmp_path / "out", "poison", "held") == {"urn:letter:1"}
    assert export_held(str(tmp_path / "out"), str(tmp_path / "held.jsonl"), most_per_owner=1).written == 1
