"""Token shards on disk: buckets (one part's documents), shards (one range of hashes), and who goes where.

A shard is an uncompressed Arrow IPC file with one record batch, so that, memory-mapped, the child buffer of `tokens` is
the flat token stream that a trainer wants (the idea of nanoGPT's and llm.c's `.bin` files, with lineage beside it).
Its bytes depend on its documents alone, whatever the buckets they came by.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

FORMAT = 1
METADATA = b"corpuscle"
"""The key of the schema's metadata; its value is JSON."""

COLUMNS = ("id", "tokens", "address", "url", "warc_file", "warc_offset", "payload_digest")
TYPES = {
    "id": pa.binary(16),
    "address": pa.uint64(),
    "url": pa.string(),
    "warc_file": pa.string(),
    "warc_offset": pa.int64(),
    "payload_digest": pa.string(),
    "split": pa.string(),
    "hash": pa.uint64(),
    "bytes": pa.int64(),
}
NEVER_NULL = ("id", "tokens", "address", "split", "hash", "bytes")

BATCH_TOKENS = 1 << 17
"""Tokens in a bucket's record batch: what is read at least when a slice is taken from a remote file (256 KiB)."""

MOST_TOKENS = (1 << 31) - 1
"""What a shard can hold: Arrow's lists have 32-bit offsets."""


def is_validation(hosts: pa.Array | pa.ChunkedArray, fraction: float) -> npt.NDArray[np.bool_]:
    """Which documents are held out: those of a `fraction` of the hosts, chosen by their BLAKE2b hash.

    A host is wholly on one side, so that no page of a site is judged by a model that learnt the site's others.
    Documents without a host (null or "") stay together too.
    """
    if isinstance(hosts, pa.ChunkedArray):
        hosts = hosts.combine_chunks()
    coded = pc.fill_null(hosts, "").dictionary_encode()
    threshold = int(Fraction(fraction) * (1 << 64))
    held_out = [_host_hash(host) < threshold for host in coded.dictionary.to_pylist()]
    return np.array(held_out, dtype=bool)[coded.indices.to_numpy()]


def _host_hash(host: str) -> int:
    return int.from_bytes(hashlib.blake2b(host.encode(), digest_size=8, person=b"validation").digest(), "big")


def shard_of(hashes: npt.NDArray[np.uint64], shards: int) -> npt.NDArray[np.int64]:
    """The shard of each hash, floor(hash * shards / 2**64): `shards` (at most 2**32) equal ranges of the hashes."""
    high, low = hashes >> np.uint64(32), hashes & np.uint64(0xFFFFFFFF)
    carry = low * np.uint64(shards) >> np.uint64(32)
    return ((high * np.uint64(shards) + carry) >> np.uint64(32)).astype(np.int64)


def hash_range(shard: int, shards: int) -> tuple[int, int]:
    """The hashes of a shard, low <= hash < high, as Python integers: the last shard's `high` is 2**64."""
    return -(-(shard << 64) // shards), -(-((shard + 1) << 64) // shards)


def write_bucket(table: pa.Table, file: str | Path | IO[bytes]) -> None:
    """Leave a part's documents, sorted by (split, hash, address), where `slice_bucket` finds a range of hashes.

    `table` has the columns of a shard and `split`, `hash` (uint64) and `bytes` (int64, of the text in UTF-8).
    The file is Arrow IPC, in record batches of about `BATCH_TOKENS`; the schema's metadata says what each one holds.
    """
    bucket = _one_batch(_columns(table, (*COLUMNS, "split", "hash", "bytes")))
    splits = np.unique(_numpy(bucket, "split"), return_inverse=True)[1]
    order = np.lexsort((_numpy(bucket, "address"), _numpy(bucket, "hash"), splits))
    bucket = _in_order([bucket], order)
    tokens_before = bucket["tokens"].offsets.to_numpy()[:-1]
    starts = np.flatnonzero(np.diff(tokens_before // BATCH_TOKENS, prepend=-1))
    batches = [bucket.slice(start, stop - start) for start, stop in pairwise([*starts, len(bucket)])]
    index = [[*_key(batch, 0), *_key(batch, len(batch) - 1)] for batch in batches]
    schema = bucket.schema.with_metadata({METADATA: json.dumps({"format": FORMAT, "batches": index})})
    _write(batches, schema, file)


def slice_bucket(source: str | Path | IO[bytes], split: str, low: int, high: int) -> pa.RecordBatch:
    """The documents of one split with low <= hash < high, in order; all columns of the bucket.

    A path is memory-mapped, so only the slice's pages are touched; of an open file the record batches that overlap
    the range are read.
    """
    if isinstance(source, str | Path):
        with pa.memory_map(str(source)) as file:
            return _slice(pa.ipc.open_file(file), str(source), split, low, high)
    return _slice(pa.ipc.open_file(source), "the open file", split, low, high)


def _slice(reader: pa.RecordBatchFileReader, name: str, split: str, low: int, high: int) -> pa.RecordBatch:
    slices = []
    for number, (first, lowest, last, highest) in enumerate(_index(reader.schema, name)):
        if (first, lowest) < (split, high) and (split, low) <= (last, highest):
            batch = reader.get_batch(number).replace_schema_metadata(None)
            splits, hashes = _numpy(batch, "split"), _numpy(batch, "hash")
            start, stop = (int(np.searchsorted(splits, split, side)) for side in ("left", "right"))
            begin, end = (start + _before(hashes[start:stop], limit) for limit in (low, high))
            slices.append(batch.slice(begin, end - begin))
    return _one_batch(pa.Table.from_batches(slices, reader.schema.remove_metadata()))


def _before(hashes: npt.NDArray[np.uint64], limit: int) -> int:
    """How many sorted hashes are below `limit`, which may be 2**64."""
    return len(hashes) if limit >= 1 << 64 else int(np.searchsorted(hashes, np.uint64(limit)))


def build_shard(slices: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Slices of buckets -> one record batch sorted by (hash, address), with the columns of a shard and `bytes`.

    The slices may come in any order and in any number; none, or only empty ones, make an empty shard.
    Raises ValueError where a document comes twice, and where there are more tokens than a shard can hold.
    """
    found = [slice for slice in slices if len(slice)]
    if not found:
        return pa.RecordBatch.from_pylist([], _schema(pa.uint16(), (*COLUMNS, "bytes")))
    tokens = sum(len(slice["tokens"].flatten()) for slice in found)
    if tokens > MOST_TOKENS:
        raise ValueError(f"{tokens:,} tokens in one shard, which can hold {MOST_TOKENS:,}; make more, smaller shards")
    found = [_one_batch(_columns(slice, (*COLUMNS, "hash", "bytes"))) for slice in found]
    hashes = np.concatenate([_numpy(slice, "hash") for slice in found])
    addresses = np.concatenate([_numpy(slice, "address") for slice in found])
    order = np.lexsort((addresses, hashes))
    shard = _in_order([slice.select([*COLUMNS, "bytes"]) for slice in found], order)
    twice = np.flatnonzero((np.diff(hashes[order]) == 0) & (np.diff(addresses[order]) == 0))
    if len(twice):
        id = shard["id"][int(twice[0])].as_py().hex()
        raise ValueError(f"document {id} comes twice; the same part's bucket was given twice, or two parts overlap")
    return shard


def write_shard(shard: pa.RecordBatch, file: str | Path | IO[bytes], split: str, vocabulary: Mapping[str, Any]) -> int:
    """Write what `build_shard` made; returns the documents' text bytes, which bits per byte are counted by.

    `vocabulary` is what `Tokenizer.describe` says: `size` decides between uint16 and uint32, and `sha256` and `bos_id`
    go into the schema's metadata.
    """
    about = {
        "format": FORMAT,
        "vocabulary_sha256": vocabulary["sha256"],
        "bos_id": vocabulary["bos_id"],
        "split": split,
    }
    tokens = pa.uint16() if vocabulary["size"] <= 1 << 16 else pa.uint32()
    schema = _schema(tokens, COLUMNS).with_metadata({METADATA: json.dumps(about, sort_keys=True)})
    _write([shard.select(list(COLUMNS)).cast(schema)], schema, file)
    return int(pc.sum(shard["bytes"]).as_py() or 0)


def _in_order(batches: list[pa.RecordBatch], order: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """The batches' rows, counted through, in a new order and in fresh buffers.

    Tokens are moved document by document: Arrow's concat and take need five times the shard's memory and time.
    """
    table = pa.Table.from_batches(batches)
    rest = _one_batch(table.drop_columns(["tokens"])).take(pa.array(order))
    lists = [batch["tokens"] for batch in batches]
    starts = np.concatenate([tokens.offsets.to_numpy()[: len(tokens)] for tokens in lists])
    lengths = np.concatenate([np.diff(tokens.offsets.to_numpy()) for tokens in lists])
    streams = [tokens.values.to_numpy() for tokens in lists]
    owners = np.repeat(np.arange(len(lists)), list(map(len, lists)))
    offsets = np.zeros(len(order) + 1, np.int64)
    np.cumsum(lengths[order], out=offsets[1:])
    tokens = np.empty(offsets[-1], streams[0].dtype)
    columns = (offsets[:-1], owners[order], starts[order], lengths[order])
    for to, owner, start, length in zip(*(column.tolist() for column in columns), strict=True):
        tokens[to : to + length] = streams[owner][start : start + length]
    moved = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tokens))
    arrays = [moved if name == "tokens" else rest[name] for name in table.schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def _schema(tokens: pa.DataType, columns: Iterable[str]) -> pa.Schema:
    types = TYPES | {"tokens": pa.list_(tokens)}
    return pa.schema([(name, types[name]) for name in columns])


def _columns(table: pa.Table | pa.RecordBatch, columns: tuple[str, ...]) -> pa.Table:
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    table = table.select(list(columns))
    for name in set(NEVER_NULL) & set(columns):
        if table[name].null_count:
            raise ValueError(f"column {name!r} has {table[name].null_count} nulls; every document has one")
    return table.cast(_schema(table.schema.field("tokens").type.value_type, columns))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if len(batches) > 1:
        raise ValueError(f"{table.nbytes:,} bytes are more than one record batch can hold; make more, smaller shards")
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: str | Path | IO[bytes]) -> None:
    with pa.ipc.new_file(str(file) if isinstance(file, Path) else file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _index(schema: pa.Schema, name: str) -> list[tuple[str, int, str, int]]:
    metadata = (schema.metadata or {}).get(METADATA)
    if metadata is None:
        raise ValueError(f"{name} is not a bucket: its schema has no {METADATA.decode()!r} metadata")
    return [tuple(entry) for entry in json.loads(metadata)["batches"]]


def _key(batch: pa.RecordBatch, row: int) -> tuple[str, int]:
    return batch["split"][row].as_py(), batch["hash"][row].as_py()


def _numpy(batch: pa.RecordBatch, column: str) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = batch[column].to_numpy(zero_copy_only=False)
    return array
