"""`corpuscle serve`: puts the parts together and runs them until Ctrl-C."""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from rich.console import Console

from labeling.store.database import Database
from trainer.serve.app import Settings, create_app
from trainer.serve.keep import Keeper
from trainer.serve.worker import Worker

KEYS, STORE = "CORPUSCLE_API_KEYS", "CORPUSCLE_STORE"
DEFAULT_STORE = "sqlite:///corpuscle.db"


@dataclass(frozen=True)
class Options:
    """What the command can be asked."""

    model: Path
    against: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    tools: Sequence[str] = ()
    corpus: Path | None = None
    allow_hosts: Sequence[str] = ()
    device: str = "cpu"
    rows: int = 32
    waiting: int = 256
    max_tokens: int = 512
    most_bytes: int = 1 << 20


def build(options: Options) -> Any:
    """The application. Raises ValueError where it would stand open to the network without a key."""
    keys = tuple(key.strip() for key in os.environ.get(KEYS, "").split(",") if key.strip())
    if not _loopback(options.host) and not keys:
        raise ValueError(
            f"--host {options.host} can be reached from other machines: set {KEYS} to one or more keys "
            f"(separated by commas) first, or leave the host at 127.0.0.1."
        )
    toolbox = None
    if options.tools:
        from trainer.tools.toolbox import make_toolbox

        toolbox = make_toolbox(options.tools, options.corpus)
    database = Database(os.environ.get(STORE, DEFAULT_STORE))
    paths = [options.model, *([options.against] if options.against else [])]
    workers = [Worker(path, options.device, options.rows, options.waiting) for path in paths]
    if len(workers) == 2 and workers[0].about.id == workers[1].about.id:
        raise ValueError(f"{options.model} and {options.against} are the same checkpoint; an arena needs two.")
    hosts = (*Settings().hosts, options.host, *options.allow_hosts)
    settings = Settings(options.max_tokens, options.most_bytes, keys, hosts)
    return create_app(settings, workers, Keeper(database), toolbox)


def serve(options: Options, console: Console) -> None:
    """Serves until it is stopped."""
    app = build(options)
    config = uvicorn.Config(
        app, options.host, options.port, log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    console.print(f"chat      http://{options.host}:{options.port}/")
    console.print(f"API       http://{options.host}:{options.port}/v1 (OpenAI's chat/completions and completions)")
    console.print(f"watch     http://{options.host}:{options.port}/health and /metrics")
    console.print("Ctrl-C stops it.")
    uvicorn.Server(config).run()


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
