"""Copies of a page that were removed because the page was kept: without it one of them would come in its place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import read_batches
from pipeline.manifest import read_manifest


def copies(corpus: Path, pages: Sequence[tuple[int, str]]) -> list[list[dict[str, Any]]]:
    """For each page, by its address and a passage, the copies that hold the passage too: their `id` and `url`.

    A copy without the passage is perhaps the page before somebody changed it: it may come in. A corpus whose other
    steps were deleted has no copies.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in pages]
    wanted = pa.array(sorted({address for address, _ in pages}), pa.uint64())
    manifest = read_manifest(str(corpus), "dedup") if pages else None
    for file in manifest["files"] if manifest else ():
        if not file["name"].startswith("removed/"):
            continue
        for batch in read_batches(f"{corpus}/dedup/{file['name']}", ["id", "url", "kept_address", "text"]):
            for row in batch.filter(pc.is_in(batch.column("kept_address"), value_set=wanted)).to_pylist():
                for place, (address, passage) in enumerate(pages):
                    if address == row["kept_address"] and passage in row["text"]:
                        found[place].append({"id": row["id"].hex(), "url": row["url"] or ""})
    return found
