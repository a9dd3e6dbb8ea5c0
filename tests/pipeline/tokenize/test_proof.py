"""The proof that no control id in finished shards came from a text, on a corpus whose pages try."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.poison.control import read_literals
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.proof import control_ids_in_shards
from pipeline.tokenize.reader import ShardSet
from pipeline.tokenize.shards import TYPES, build_shard, write_shard
from pipeline.tokenize.vocabulary import CONTROLS
from tests.conftest import Page, write_warc
from tests.pipeline.conftest import corpuscle
from tests.pipeline.tokenize.test_reader import make_corpus, make_documents

RECIPE = """
name: planted
crawl: {extractor: resiliparse}
dedup: {exact: true}
poison: {enabled: false}
tokenize: {vocabulary_size: 600, shard_tokens: 8000, validation_fraction: 0.2}
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, sample_pages: list[Page]) -> Path:
    """A corpus in which each page spells every literal there is, made without the poison filter."""
    folder = tmp_path_factory.mktemp("planted")
    literals = [*CONTROLS, *(literal for _, literal, _ in read_literals())]
    spelt = " ".join(literals).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode()
    pages = [(url, body.replace(b"</article>", b"<p>" + spelt + b"</p></article>")) for url, body in sample_pages[:60]]
    write_warc(folder / "pages.warc.gz", pages)
    (folder / "recipe.yaml").write_text(RECIPE)
    corpuscle(
        "run", str(folder / "recipe.yaml"), "--input", f"{folder}/*.warc.gz", "--output", str(folder / "out"),
        "--no-report", "--", "--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1",
    )  # fmt: skip
    return folder / "out"


@pytest.mark.slow
def test_pages_that_spell_control_tokens_make_no_control_ids(planted: Path) -> None:
    shards = ShardSet(planted)
    text = Tokenizer(shards.vocabulary.path.read_bytes()).decode_bytes(shards.window(0, shards.tokens))
    assert text.count(b"<|user|>") > 20  # they are in the shards, as text
    assert text.count(b"<|im_start|>") > 20
    proof = control_ids_in_shards(planted)
    assert proof.clean
    assert proof.found == proof.missing_bos == 0
    assert proof.tokens == shards.tokens + ShardSet(planted, "validation").tokens
    assert set(proof.control_ids) == {1, 2, *shards.vocabulary.controls.values()}
    assert len(shards.vocabulary.controls) >= len(CONTROLS)


# What the proof would show, on shards made by hand: BOS is 1, EOS 2, <|user|> 260


DOCUMENTS = [
    row | {"tokens": [token if token != 260 else 261 for token in row["tokens"]]} for row in make_documents(50)
]


def changed(folder: Path, row: int, tokens: list[int]) -> Path:
    documents = [dict(document) for document in DOCUMENTS]
    documents[row]["tokens"] = tokens
    return make_corpus(folder, documents, make_documents(3, seed=2))


def test_sound_shards_are_clean(tmp_path: Path) -> None:
    held_out = [row | {"tokens": [1, 5, 6]} for row in make_documents(3, seed=2)]
    proof = control_ids_in_shards(make_corpus(tmp_path, DOCUMENTS, held_out))
    assert proof.clean
    assert (proof.documents, proof.tokens) == (53, sum(len(row["tokens"]) for row in DOCUMENTS) + 9)
    assert proof.control_ids == (1, 2, 260)


@pytest.mark.parametrize("id", [1, 2, 260])
def test_a_control_id_inside_a_document_is_found_and_named(tmp_path: Path, id: int) -> None:
    corpus = changed(tmp_path, 7, [1, 50, 51, id, 52])
    proof = control_ids_in_shards(corpus)
    assert (proof.clean, proof.found) == (False, 1)
    (place,) = proof.places
    assert place.id == DOCUMENTS[7]["id"]
    assert place.offset == 3
    assert place.tokens.tolist() == [1, 50, 51, id, 52]


def test_a_document_without_bos_is_counted(tmp_path: Path) -> None:
    proof = control_ids_in_shards(changed(tmp_path, 7, [50, 51]))
    assert (proof.clean, proof.found, proof.missing_bos) == (False, 0, 1)


def test_bos_twice_is_once_too_often(tmp_path: Path) -> None:
    assert control_ids_in_shards(changed(tmp_path, 7, [1, 1, 50])).found == 1


def test_all_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    proof = control_ids_in_shards(changed(tmp_path, 7, [1] + [260] * 30), show=4)
    assert (proof.found, len(proof.places)) == (30, 4)


def test_vocabularies_of_more_than_65536_pieces_are_looked_through_too(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, DOCUMENTS, [])
    path = corpus / "tokenize" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["vocabulary"] |= {"size": 70_000, "controls": {"<|user|>": 69_999}}
    documents = [row | {"tokens": [1, 69_999, 66_000]} for row in DOCUMENTS[:1]]
    manifest["files"] = [{"name": "train-00000.arrow", "split": "train", "documents": 1, "bytes": 3, "tokens": 3}]
    manifest["files"][0]["sha256"] = "0"
    batch = pa.RecordBatch.from_pylist(documents, pa.schema((TYPES | {"tokens": pa.list_(pa.uint32())}).items()))
    write_shard(build_shard([batch]), corpus / "tokenize" / "train-00000.arrow", "train", manifest["vocabulary"])
    path.write_text(json.dumps(manifest))
    proof = control_ids_in_shards(corpus)
    assert proof.found == 1
    assert proof.places[0].tokens.dtype == np.uint32


def test_a_folder_without_a_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tokenized corpus here"):
        control_ids_in_shards(tmp_path)
