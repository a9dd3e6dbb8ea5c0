"""The trainer's view of the shards: one stream, windows across files, the way back to a document, and clear errors."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.tokenize.reader import ShardSet
from pipeline.tokenize.shards import TYPES, build_shard, hash_range, write_shard

SHARDS = 3


def make_documents(count: int, seed: int = 1, host: str = "a.example") -> list[dict[str, Any]]:
    random = Random(seed)
    documents = []
    for number in range(count):
        id = random.randbytes(16)
        documents.append(
            {
                "id": id,
                "hash": int.from_bytes(id[:8], "big"),
                "address": number,
                "tokens": [1, *random.choices(range(3, 32_000), k=random.randrange(30))],
                "url": f"https://{host}/{number}",
                "warc_file": "pages.warc.gz",
                "warc_offset": number * 1000,
                "payload_digest": "sha256:00",
                "split": "train",
                "bytes": 100,
            }
        )
    return documents


def make_corpus(folder: Path, documents: list[dict[str, Any]], held_out: list[dict[str, Any]]) -> Path:
    """A tokenize step's folder: shards of a split each, the vocabulary, the manifest."""
    tokenize = folder / "tokenize"
    tokenize.mkdir(parents=True)
    (tokenize / "tokenizer.model").write_bytes(b"a model")
    vocabulary = {
        "file": "tokenizer.model",
        "sha256": hashlib.sha256(b"a model").hexdigest(),
        "size": 32_000,
        "bos_id": 1,
        "eos_id": 2,
        "controls": {"<|user|>": 260},
    }
    types = TYPES | {"tokens": pa.list_(pa.uint16())}
    files = []
    for split, rows, count in (("train", documents, SHARDS), ("validation", held_out, 1)):
        for number in range(count):
            low, high = hash_range(number, count)
            here = [row for row in rows if low <= row["hash"] < high]
            batch = pa.RecordBatch.from_pylist(here, pa.schema(types.items()))
            path = tokenize / f"{split}-{number:05d}.arrow"
            text_bytes = write_shard(build_shard([batch]), path, split, vocabulary)
            entry = {"name": path.name, "split": split, "documents": len(here), "bytes": text_bytes}
            entry["tokens"] = sum(len(row["tokens"]) for row in here)
            files.append(entry | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    manifest = {"step": "tokenize", "counts": {}, "files": files, "vocabulary": vocabulary}
    (tokenize / "manifest.json").write_text(json.dumps(manifest))
    return folder


DOCUMENTS = make_documents(200)
STREAM = [token for row in sorted(DOCUMENTS, key=lambda row: row["hash"]) for token in row["tokens"]]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", DOCUMENTS, make_documents(5, seed=2))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return ShardSet(make_corpus(tmp_path_factory.mktemp("corpus") / "out", DOCUMENTS, []))


def change(corpus: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = corpus / "tokenize" / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def test_the_reader_needs_neither_beam_nor_sentencepiece() -> None:
    program = "import sys, pipeline.tokenize.reader; print(sorted({name.split('.')[0] for name in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "'pyarrow'" in found
    for heavy in ("apache_beam", "sentencepiece", "torch", "google"):
        assert f"'{heavy}'" not in found


def test_it_opens_a_corpus_its_tokenize_folder_or_the_manifest(corpus: Path) -> None:
    for path in (corpus, corpus / "tokenize", corpus / "tokenize" / "manifest.json", str(corpus)):
        assert ShardSet(path).tokens == len(STREAM)


def test_a_split_is_the_sum_of_its_shards(corpus: Path) -> None:
    shards = ShardSet(corpus)
    assert [shard.name for shard in shards.shards] == ["train-00000", "train-00001", "train-00002"]
    assert shards.tokens == len(STREAM)
    assert shards.bytes == 200 * 100
    assert sum(shard.documents for shard in shards.shards) == 200
    assert ShardSet(corpus, "validation").bytes == 500


def test_the_vocabulary_is_that_of_the_manifest(corpus: Path) -> None:
    vocabulary = ShardSet(corpus).vocabulary
    assert vocabulary.path.read_bytes() == b"a model"
    assert (vocabulary.size, vocabulary.bos_id, vocabulary.eos_id) == (32_000, 1, 2)
    assert vocabulary.controls == {"<|user|>": 260}


def test_the_vocabulary_may_lie_where_it_was_trained(corpus: Path) -> None:
    (corpus / "vocabulary").mkdir()
    (corpus / "tokenize" / "tokenizer.model").rename(corpus / "vocabulary" / "tokenizer.model")
    assert ShardSet(corpus).vocabulary.path == corpus / "vocabulary" / "tokenizer.model"


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_window_is_a_piece_of_the_stream_across_shards(opened: ShardSet, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(STREAM)))
    length = data.draw(st.integers(0, len(STREAM) - start))
    assert opened.window(start, length).tolist() == STREAM[start : start + length]
    assert opened.window(start, length).dtype == np.uint16


def test_a_window_in_one_shard_is_a_view_of_the_file(opened: ShardSet) -> None:
    before = pa.total_allocated_bytes()
    window = opened.window(10, 100)
    assert pa.total_allocated_bytes() == before
    assert np.shares_memory(window, opened.stream(0))
    assert not window.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        window[0] = 1


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, len(STREAM) + 1), (len(STREAM), 1), (5, -1)])
def test_a_window_outside_the_split_is_an_error(opened: ShardSet, start: int, length: int) -> None:
    with pytest.raises(IndexError, match="asked of the"):
        opened.window(start, length)


def test_every_token_leads_back_to_its_document(opened: ShardSet) -> None:
    position = 0
    for row in sorted(DOCUMENTS, key=lambda row: row["hash"]):
        for offset in {0, len(row["tokens"]) - 1}:
            place = opened.document_at(position + offset)
            assert place.id == row["id"]
            assert place.offset == offset
            assert place.tokens.tolist() == row["tokens"]
            shard = next(number for number, shard in enumerate(opened.shards) if shard.name == place.shard)
            assert opened.documents(shard)["url"][place.document].as_py() == row["url"]
            assert opened.locate(place.shard, place.start + offset) == place
        position += len(row["tokens"])
    with pytest.raises(IndexError, match="asked of the"):
        opened.document_at(position)


def test_every_document_is_found_by_its_id(opened: ShardSet) -> None:
    for row in DOCUMENTS[:50]:
        place = opened.find(row["id"])
        assert place is not None
        assert place.tokens.tolist() == row["tokens"]
        assert place.stop - place.start == len(row["tokens"])
    assert opened.find(b"0123456789abcdef") is None


def test_documents_begin_at_their_bos(opened: ShardSet) -> None:
    for shard in range(SHARDS):
        starts = opened.document_starts(shard)
        assert (opened.stream(shard)[starts[:-1]] == opened.vocabulary.bos_id).all()
        assert starts[-1] == opened.shards[shard].tokens


def test_an_unknown_shard_or_token_is_an_error_that_names_what_there_is(opened: ShardSet) -> None:
    with pytest.raises(KeyError, match="no shard 'train-00003'.* train-00000 to train-00002"):
        opened.locate("train-00003", 0)
    with pytest.raises(IndexError, match="token 9,999,999 asked of train-00001, which has"):
        opened.locate("train-00001", 9_999_999)


def test_open_shards_hold_no_file_descriptors(corpus: Path) -> None:
    shards = ShardSet(corpus)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    shards.check()
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    assert after == before


def test_shards_without_documents_are_no_hindrance(tmp_path: Path) -> None:
    documents = make_documents(3)
    high = [row | {"id": b"\xff" + row["id"][1:], "hash": row["hash"] | 0xFF << 56} for row in documents]
    shards = ShardSet(make_corpus(tmp_path, high, []))
    assert [shard.documents for shard in shards.shards] == [0, 0, 3]
    assert len(shards.window(0, shards.tokens)) == shards.tokens
    assert shards.document_at(0).shard == "train-00002"
    assert shards.window(0, 0).tolist() == []


# What can be wrong with the files


def test_a_folder_without_a_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tokenized corpus here; name the output folder"):
        ShardSet(tmp_path)


@pytest.mark.parametrize("contents", ["{", "[]", "{}", '{"step": "dedup", "files": []}', '{"step": "tokenize"}'])
def test_another_manifest_is_an_error_that_names_it(tmp_path: Path, contents: str) -> None:
    (tmp_path / "manifest.json").write_text(contents)
    with pytest.raises(
        ValueError, match=r"manifest.json: not the manifest of a tokenize step .* run the tokenize step"
    ):
        ShardSet(tmp_path)


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, DOCUMENTS, [])
    with pytest.raises(ValueError, match="the split 'validation' has no tokens; give more pages"):
        ShardSet(corpus, "validation")
    with pytest.raises(ValueError, match="the split 'test' has no tokens"):
        ShardSet(corpus, "test")


def test_sound_files_pass_the_check_of_their_split(corpus: Path) -> None:
    ShardSet(corpus).check()  # raises for a file that is not the manifest's, as below
    (corpus / "tokenize" / "train-00000.arrow").write_bytes(b"not read for the other split")
    ShardSet(corpus, "validation").check()
    with pytest.raises(ValueError, match="train-00000"):
        ShardSet(corpus).check()


def test_a_changed_byte_fails_the_check(corpus: Path) -> None:
    path = corpus / "tokenize" / "train-00001.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        ValueError, match=r"train-00001.arrow: sha256 is .*, the manifest says .*; run the tokenize step"
    ):
        ShardSet(corpus).check()


def test_a_changed_or_missing_vocabulary_fails_the_check(corpus: Path) -> None:
    (corpus / "tokenize" / "tokenizer.model").write_bytes(b"another model")
    with pytest.raises(ValueError, match=r"tokenizer.model: sha256 is"):
        ShardSet(corpus).check()
    (corpus / "tokenize" / "tokenizer.model").unlink()
    with pytest.raises(FileNotFoundError, match=r"tokenizer.model is missing"):
        ShardSet(corpus).check()


def test_a_missing_shard_is_an_error_that_names_it(corpus: Path) -> None:
    (corpus / "tokenize" / "train-00002.arrow").unlink()
    shards = ShardSet(corpus)
    assert shards.window(0, 10).tolist() == STREAM[:10]
    for use in (lambda: shards.window(0, shards.tokens), shards.check):
        with pytest.raises(FileNotFoundError, match=r"train-00002.arrow is missing.*run the tokenize step again"):
            use()


@pytest.mark.parametrize("keep", [0, 7, 100, -1, -100])
def test_a_shard_cut_short_is_an_error_that_names_it(corpus: Path, keep: int) -> None:
    path = corpus / "tokenize" / "train-00000.arrow"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"train-00000.arrow is cut short or not an Arrow IPC file"):
        ShardSet(corpus).window(0, 1)


def test_a_manifest_with_other_counts_is_an_error(corpus: Path) -> None:
    change(corpus, lambda manifest: manifest["files"][0].update(tokens=5))
    with pytest.raises(ValueError, match=r"train-00000.arrow: number of tokens is [\d]+, the manifest says 5"):
        ShardSet(corpus).window(0, 1)
    change(corpus, lambda manifest: manifest["files"][0].update(documents=5))
    with pytest.raises(ValueError, match=r"train-00000.arrow: number of documents is [\d]+, the manifest says 5"):
        ShardSet(corpus).window(0, 1)


def test_shards_of_another_vocabulary_are_an_error(corpus: Path) -> None:
    change(corpus, lambda manifest: manifest["vocabulary"].update(sha256="ff"))
    with pytest.raises(ValueError, match=r"train-00000.arrow: vocabulary is \w+, the manifest says ff"):
        ShardSet(corpus).window(0, 1)


def test_tokens_of_the_wrong_width_are_an_error(corpus: Path) -> None:
    change(corpus, lambda manifest: manifest["vocabulary"].update(size=70_000))
    with pytest.raises(ValueError, match=r"type of tokens is list<item: uint16>, the manifest says list<item: uint32>"):
        ShardSet(corpus).window(0, 1)


def test_more_than_one_record_batch_is_an_error(corpus: Path) -> None:
    path = corpus / "tokenize" / "train-00000.arrow"
    batch = pa.ipc.open_file(pa.py_buffer(path.read_bytes())).get_batch(0)
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        writer.write_batch(batch.slice(0, 3))
        writer.write_batch(batch.slice(3))
    with pytest.raises(ValueError, match="number of record batches is 2, a shard has 1"):
        ShardSet(corpus).window(0, 1)


def test_another_arrow_file_is_an_error(corpus: Path) -> None:
    path = corpus / "tokenize" / "train-00000.arrow"
    with pa.ipc.new_file(str(path), pa.schema([("a", pa.int64())])):
        pass
    with pytest.raises(ValueError, match="shard format is None, this program reads 1"):
        ShardSet(corpus).window(0, 1)
