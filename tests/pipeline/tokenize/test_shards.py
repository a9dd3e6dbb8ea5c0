"""Shards: who goes where, and bytes that depend on the documents alone, however they were sliced and ordered."""

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.tokenize import shards
from pipeline.tokenize.shards import (
    build_shard,
    hash_range,
    is_validation,
    shard_of,
    slice_bucket,
    write_bucket,
    write_shard,
)

VOCABULARY = {"sha256": "ab" * 32, "size": 32_000, "bos_id": 1}
HASHES = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1]))
NAMES = st.one_of(st.none(), st.text(max_size=5))

document = st.fixed_dictionaries(
    {
        "hash": st.one_of(HASHES, st.integers(0, 3)),
        "tokens": st.lists(st.integers(0, 65_535), min_size=1, max_size=6),
        "url": NAMES,
        "warc_file": NAMES,
        "warc_offset": st.one_of(st.none(), st.integers(0, 2**62)),
        "payload_digest": NAMES,
        "split": st.sampled_from(["train", "validation"]),
        "bytes": st.integers(0, 100),
    }
)


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"address": i, "id": row["hash"].to_bytes(8, "big") + bytes([i] * 8)} for i, row in enumerate(rows)]


corpora = st.lists(document, max_size=12).map(numbered)


def table_of(rows: list[dict[str, Any]], tokens: str = "uint16") -> pa.Table:
    types = shards.TYPES | {"tokens": pa.list_(pa.type_for_alias(tokens))}
    return pa.Table.from_pylist(rows, pa.schema([(name, types[name]) for name in types]))


def bucket_of(rows: list[dict[str, Any]]) -> io.BytesIO:
    file = io.BytesIO()
    write_bucket(table_of(rows), file)
    return io.BytesIO(file.getvalue())


def shard_bytes(slices: list[pa.RecordBatch], split: str = "train") -> bytes:
    file = io.BytesIO()
    write_shard(build_shard(slices), file, split, VOCABULARY)
    return file.getvalue()


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return (
        table_of(rows).combine_chunks().to_batches()[0] if rows else pa.RecordBatch.from_pylist([], table_of([]).schema)
    )


# Who goes where


@given(st.lists(HASHES, max_size=20), st.integers(1, 2**20))
def test_a_hash_lies_in_the_range_of_its_shard(hashes: list[int], count: int) -> None:
    found = shard_of(np.array(hashes, np.uint64), count).tolist()
    assert found == [hash * count >> 64 for hash in hashes]
    for hash, shard in zip(hashes, found, strict=True):
        low, high = hash_range(shard, count)
        assert low <= hash < high


@given(st.integers(1, 2000))
@example(1)
@example(3)
def test_the_ranges_cover_all_hashes_once_and_are_equal(count: int) -> None:
    ranges = [hash_range(shard, count) for shard in range(count)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 2**64
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    sizes = [high - low for low, high in ranges]
    assert max(sizes) - min(sizes) <= 1


def test_there_may_be_as_many_shards_as_half_the_bits_can_count() -> None:
    edges = np.array([0, 2**32 - 1, 2**32, 2**64 - 1], np.uint64)
    assert shard_of(edges, 2**32).tolist() == [0, 0, 1, 2**32 - 1]


def test_a_host_is_wholly_held_out_or_wholly_not() -> None:
    hosts = [f"host-{i % 50}.example" for i in range(1000)]
    held_out = is_validation(pa.array(hosts), 0.3)
    assert {host for host, out in zip(hosts, held_out, strict=True) if out}.isdisjoint(
        host for host, out in zip(hosts, held_out, strict=True) if not out
    )
    assert 0 < held_out.sum() < 1000


def test_the_held_out_share_of_hosts_is_about_what_was_asked() -> None:
    hosts = pa.array([f"www.{i}.example" for i in range(20_000)])
    assert abs(is_validation(hosts, 0.01).mean() - 0.01) < 0.003
    assert is_validation(hosts, 0.0).sum() == 0
    assert is_validation(hosts, 1.0).sum() == 20_000
    assert (is_validation(hosts, 0.1) | ~is_validation(hosts, 0.01)).all()  # a larger share keeps the smaller one's


def test_a_host_decides_alone_and_for_good() -> None:
    hosts = ["a.example", "b.example", None, "", "ü.example"]
    alone = [bool(is_validation(pa.array([host], pa.string()), 0.4)[0]) for host in hosts]
    assert is_validation(pa.array(hosts), 0.4).tolist() == alone
    assert is_validation(pa.chunked_array([hosts[:2], hosts[2:]]), 0.4).tolist() == alone
    assert alone == [False, False, True, True, True]  # held-out hosts stay held out in later versions
    assert is_validation(pa.array([], pa.string()), 0.5).tolist() == []


# Buckets


@given(corpora, HASHES, HASHES)
@settings(deadline=None)
def test_a_slice_is_the_split_s_documents_in_the_range_in_order(rows: list[dict[str, Any]], a: int, b: int) -> None:
    low, high = min(a, b), max(a, b) + 1
    expected = [row for row in rows if row["split"] == "train" and low <= row["hash"] < high]
    expected.sort(key=lambda row: (row["hash"], row["address"]))
    found = slice_bucket(bucket_of(rows), "train", low, high)
    assert found.select(table_of([]).column_names).to_pylist() == table_of(expected).to_pylist()


@given(corpora)
@settings(deadline=None)
def test_that_holds_across_the_bucket_s_record_batches(rows: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "BATCH_TOKENS", 4)
        bucket = bucket_of(rows)
    for split in ("train", "validation"):
        found = [slice_bucket(bucket, split, *hash_range(shard, 3)) for shard in range(3)]
        addresses = [row["address"] for batch in found for row in batch.to_pylist()]
        expected = sorted((row["hash"], row["address"]) for row in rows if row["split"] == split)
        assert addresses == [address for _, address in expected]


def many(count: int) -> list[dict[str, Any]]:
    random = Random(5)
    return [
        {
            **dict.fromkeys(("url", "warc_file", "payload_digest"), "x" * 50),
            "id": (hash := random.randbytes(8)) + bytes(8),
            "hash": int.from_bytes(hash, "big"),
            "tokens": [1] * 1000,
            "address": i,
            "warc_offset": i,
            "split": "train",
            "bytes": 4000,
        }
        for i in range(count)
    ]


def test_of_an_open_file_only_what_overlaps_the_range_is_read() -> None:
    class Counting(io.BytesIO):
        done = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.done += len(data)
            return data

    bucket = bucket_of(many(2000))
    length = len(bucket.getvalue())
    counting = Counting(bucket.getvalue())
    found = slice_bucket(counting, "train", *hash_range(7, 100))
    assert 0 < len(found) < 60
    assert counting.done < length / 5


def test_a_path_is_memory_mapped_and_the_slice_outlives_the_map(tmp_path: Path) -> None:
    rows = many(20)
    write_bucket(table_of(rows), tmp_path / "bucket.arrow")
    before = pa.total_allocated_bytes()
    found = slice_bucket(tmp_path / "bucket.arrow", "train", 0, 2**64)
    assert pa.total_allocated_bytes() - before < 10_000
    assert found["address"].to_pylist() == [row["address"] for row in sorted(rows, key=lambda row: row["hash"])]
    assert slice_bucket(str(tmp_path / "bucket.arrow"), "validation", 0, 2**64).num_rows == 0


def test_an_empty_bucket_has_empty_slices() -> None:
    assert slice_bucket(bucket_of([]), "train", 0, 2**64).num_rows == 0


def test_a_document_without_a_hash_is_an_error() -> None:
    with pytest.raises(ValueError, match="'hash' has 1 nulls"):
        bucket_of([many(1)[0] | {"hash": None}])


def test_another_arrow_file_is_not_a_bucket() -> None:
    with pytest.raises(ValueError, match="is not a bucket"):
        slice_bucket(io.BytesIO(plain_arrow()), "train", 0, 1)


def plain_arrow() -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, pa.schema([("a", pa.int64())])):
        pass
    return file.getvalue()


# Shards


@given(corpora, st.randoms(), st.integers(1, 5))
@settings(deadline=None, max_examples=200)
def test_the_bytes_do_not_depend_on_the_slices(rows: list[dict[str, Any]], random: Random, parts: int) -> None:
    expected = shard_bytes([batch_of(rows)])
    shuffled = list(rows)
    random.shuffle(shuffled)
    dealt: list[list[dict[str, Any]]] = [[] for _ in range(parts)]
    for row in shuffled:
        random.choice(dealt).append(row)
    assert shard_bytes([batch_of(part) for part in dealt]) == expected


@given(corpora, st.randoms(), st.integers(1, 4))
@settings(deadline=None)
def test_the_bytes_do_not_depend_on_the_buckets(rows: list[dict[str, Any]], random: Random, parts: int) -> None:
    rows = [row | {"split": "train"} for row in rows]
    random.shuffle(rows)
    buckets = [bucket_of(rows[part::parts]) for part in range(parts)]
    found = [slice_bucket(bucket, "train", *hash_range(1, 2)) for bucket in buckets]
    assert shard_bytes(found) == shard_bytes([batch_of([row for row in rows if row["hash"] >= 2**63])])


@given(corpora.filter(bool), st.data())
@settings(deadline=None)
def test_the_bytes_do_not_depend_on_how_the_arrays_are_stored(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    padded = batch_of([*many(3), *rows, *many(2)])
    sliced = [padded.slice(3, cut), padded.slice(3 + cut, len(rows) - cut)]
    encoded = table_of(rows)
    for name in ("url", "warc_file"):
        encoded = encoded.set_column(encoded.column_names.index(name), name, encoded[name].dictionary_encode())
    with_bitmaps = pa.RecordBatch.from_arrays([with_bitmap(column) for column in batch_of(rows)], schema=padded.schema)
    expected = shard_bytes([batch_of(rows)])
    assert shard_bytes(sliced) == expected
    assert shard_bytes(encoded.combine_chunks().to_batches()) == expected
    assert shard_bytes([with_bitmaps]) == expected
    assert shard_bytes([garbage_under_nulls(batch_of(rows))]) == expected


def with_bitmap(column: pa.Array) -> pa.Array:
    """The same array with a validity bitmap, whose spare bits are ones."""
    valid = np.packbits(column.is_valid().to_numpy(zero_copy_only=False), bitorder="little")
    if len(column) % 8:
        valid[-1] |= 0xFF << len(column) % 8 & 0xFF
    children = [column.values] if pa.types.is_list(column.type) else []
    own = column.buffers()[: column.type.num_buffers]
    return pa.Array.from_buffers(column.type, len(column), [pa.py_buffer(valid), *own[1:]], children=children)


def garbage_under_nulls(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same values with other bytes behind the nulls."""
    url = pa.array(["garbage" if value is None else value for value in batch["url"].to_pylist()], pa.string())
    null = np.packbits(batch["url"].is_valid().to_numpy(zero_copy_only=False), bitorder="little")
    url = pa.Array.from_buffers(pa.string(), len(url), [pa.py_buffer(null), *url.buffers()[1:]])
    offset = np.array([77 if value is None else value for value in batch["warc_offset"].to_pylist()], np.int64)
    null = np.packbits(batch["warc_offset"].is_valid().to_numpy(zero_copy_only=False), bitorder="little")
    offsets = pa.Array.from_buffers(pa.int64(), len(url), [pa.py_buffer(null), pa.py_buffer(offset)])
    for name, column in (("url", url), ("warc_offset", offsets)):
        batch = batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch


@given(corpora)
@settings(deadline=None)
def test_a_shard_holds_its_documents_in_order_of_hash_and_address(rows: list[dict[str, Any]]) -> None:
    written = pa.ipc.open_file(io.BytesIO(shard_bytes([batch_of(rows)]))).read_all()
    expected = sorted(rows, key=lambda row: (row["hash"], row["address"]))
    assert written.to_pylist() == [{name: row[name] for name in shards.COLUMNS} for row in expected]


def test_a_shard_is_one_uncompressed_record_batch_that_says_its_vocabulary() -> None:
    rows = many(30)
    reader = pa.ipc.open_file(io.BytesIO(shard_bytes([batch_of(rows[:10]), batch_of(rows[10:])], "validation")))
    assert reader.num_record_batches == 1
    assert reader.schema.names == list(shards.COLUMNS)
    assert reader.schema.field("tokens").type == pa.list_(pa.uint16())
    assert json.loads(reader.schema.metadata[b"corpuscle"]) == {
        "format": 1,
        "vocabulary_sha256": "ab" * 32,
        "bos_id": 1,
        "split": "validation",
    }
    flat = np.ones(30_000, np.uint16).tobytes()
    assert flat in shard_bytes([batch_of(rows)])  # the token stream lies in the file as it is


def test_the_format_s_bytes_are_those_of_the_first_version() -> None:
    file = io.BytesIO(shard_bytes([batch_of(many(3))]))
    body = pa.ipc.open_file(file).get_batch(0)
    digest = hashlib.sha256(b"".join(bytes(b) for column in body for b in column.buffers() if b is not None))
    assert digest.hexdigest()[:16] == "8d7cf637f7ec470e"


def test_write_shard_returns_the_bytes_of_text() -> None:
    assert write_shard(build_shard([batch_of(many(3))]), io.BytesIO(), "train", VOCABULARY) == 12_000
    assert write_shard(build_shard([]), io.BytesIO(), "train", VOCABULARY) == 0


@pytest.mark.parametrize(("size", "expected"), [(65_536, pa.uint16()), (65_537, pa.uint32())])
def test_an_empty_shard_has_the_type_of_its_vocabulary(size: int, expected: pa.DataType) -> None:
    for slices in ([], [batch_of([])]):
        file = io.BytesIO()
        write_shard(build_shard(slices), file, "train", VOCABULARY | {"size": size})
        reader = pa.ipc.open_file(io.BytesIO(file.getvalue()))
        assert reader.num_record_batches == 1
        assert reader.get_batch(0).num_rows == 0
        assert reader.schema.field("tokens").type == pa.list_(expected)


def test_large_vocabularies_have_32_bit_tokens() -> None:
    batch = table_of([many(1)[0] | {"tokens": [1, 70_000]}], "uint32").to_batches()[0]
    file = io.BytesIO()
    write_shard(build_shard([batch]), file, "train", VOCABULARY | {"size": 70_001})
    assert pa.ipc.open_file(io.BytesIO(file.getvalue())).read_all()["tokens"].to_pylist() == [[1, 70_000]]


def test_a_document_that_comes_twice_is_an_error_that_names_it() -> None:
    rows = many(5)
    with pytest.raises(ValueError, match=f"document {rows[3]['id'].hex()} comes twice"):
        build_shard([batch_of(rows), batch_of(rows[3:4])])


def test_more_tokens_than_a_shard_can_hold_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MOST_TOKENS", 2999)
    with pytest.raises(ValueError, match="3,000 tokens in one shard, which can hold 2,999"):
        build_shard([batch_of(many(3))])
