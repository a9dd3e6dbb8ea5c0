"""How fast a served model answers: first token, tokens a second, under 1 to 200 streams at once. A table and JSON.

python -m benchmarks.serve MODEL [--streams 1 8 32 200] [--tokens 64] [--json OUT]
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

PROMPT = [{"role": "user", "content": "Tell me something about the history of the town."}]


@dataclass(frozen=True)
class Row:
    """One load; times in seconds."""

    streams: int
    first_token_median: float
    first_token_95: float
    tokens_per_second: float
    """Of all streams together."""
    seconds: float


@contextlib.contextmanager
def server(model: Path, tokens: int, rows: int) -> Iterator[str]:
    """`corpuscle serve` on a free port, with a store that is thrown away."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "-m", "corpuscle.main", "serve", str(model), "--port", str(port)]
        command += ["--tokens", str(tokens), "--rows", str(rows)]
        environment = {**os.environ, "CORPUSCLE_STORE": f"sqlite:///{folder}/store.db"}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
        try:
            while True:
                if process.poll() is not None:
                    sys.exit("the server ended by itself; its message stands above")
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"{url}/health")
                    break
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait()


async def stream(client: httpx.AsyncClient, url: str, tokens: int, seed: int) -> tuple[float, int]:
    """Seconds to the first token, and how many came."""
    body = {"messages": PROMPT, "max_tokens": tokens, "seed": seed, "temperature": 1, "stream": True}
    body["stream_options"] = {"include_usage": True}
    began, first, written = time.monotonic(), 0.0, 0
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if '"content": "' in line and '"role"' not in line:
                first = first or time.monotonic() - began
            if '"usage"' in line:
                written = json.loads(line[6:])["usage"]["completion_tokens"]
    return first or time.monotonic() - began, written


async def load(url: str, streams: int, tokens: int) -> Row:
    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=None)) as client:
        await stream(client, url, 4, 0)  # warm
        began = time.monotonic()
        found = await asyncio.gather(*(stream(client, url, tokens, seed) for seed in range(streams)))
        seconds = time.monotonic() - began
    first = [one for one, _ in found]
    written = sum(number for _, number in found)
    return Row(streams, float(np.median(first)), float(np.quantile(first, 0.95)), written / seconds, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32, 200])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rows", type=int, default=32, help="answers written at a time")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with server(options.model, options.tokens, options.rows) as url:
        rows = [asyncio.run(load(url, streams, options.tokens)) for streams in options.streams]
    table = Table("streams", "first token, median", "95%", "tokens/s", "seconds")
    for row in rows:
        table.add_row(
            str(row.streams),
            f"{row.first_token_median * 1000:,.0f} ms",
            f"{row.first_token_95 * 1000:,.0f} ms",
            f"{row.tokens_per_second:,.0f}",
            f"{row.seconds:.1f}",
        )
    Console().print(table)
    text = json.dumps({"model": str(options.model), "rows": [asdict(row) for row in rows]}, indent=1)
    if options.json is not None:
        options.json.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
