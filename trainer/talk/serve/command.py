"""`corpuscle serve`: puts the parts together and runs them until Ctrl-C."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from rich.console import Console
from uvicorn.protocols.http.h11_impl import H11Protocol

from labeling.store.database import Database
from trainer.checkpoint import find, read_about
from trainer.pointer import read_pointer
from trainer.talk.serve.app import Settings, create_app
from trainer.talk.serve.keep import Keeper
from trainer.talk.serve.traffic import Sample
from trainer.talk.serve.worker import Worker

KEYS, STORE = "CORPUSCLE_API_KEYS", "CORPUSCLE_STORE"
DEFAULT_STORE = "sqlite:///corpuscle.db"


@dataclass(frozen=True)
class Options:
    """What the command can be asked. A `model` that is a file is a pointer (`trainer.pointer`), and is followed."""

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
    sample: Sample | None = None


HEADER_SECONDS = 10.0
"""How long a connection may take to say what it wants."""

CONNECTIONS = 1000

STORE_SECONDS = 2.0
"""How long a locked store is waited for; the page tries again by itself."""


class Impatient(H11Protocol):
    """Hangs up on connections that don't finish their headers, which uvicorn would hold for ever."""

    patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._asked:
            self._wait()
        elif self.patience is not None:
            self.patience.cancel()
            self.patience = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.patience is not None:
            self.patience.cancel()
        super().connection_lost(exc)

    @property
    def _asked(self) -> bool:
        """Whether a request is there that has not been answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self.patience is None:
            self.patience = self.loop.call_later(HEADER_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        self.patience = None
        if not self._asked:
            self.transport.close()


class Server(uvicorn.Server):
    """Ends what is being written when it is told to stop, so that streams end with a word and not in the middle."""

    def __init__(self, config: uvicorn.Config, workers: list[Worker]) -> None:
        super().__init__(config)
        self.workers = workers

    def handle_exit(self, sig: int, frame: Any) -> None:
        for worker in self.workers:
            worker.stop()
        super().handle_exit(sig, frame)


def build(options: Options) -> tuple[Any, list[Worker]]:
    """The application and its workers; the list changes with the first model where that is followed.

    Raises ValueError where it would stand open to the network without a key.
    """
    keys = tuple(key.strip() for key in os.environ.get(KEYS, "").split(",") if key.strip())
    if not _loopback(options.host) and not keys:
        raise ValueError(
            f"--host {options.host} can be reached from other machines: set {KEYS} to one or more keys "
            f"(separated by commas) first, or leave the host at 127.0.0.1."
        )
    toolbox = None
    if options.tools:
        from trainer.talk.tools.toolbox import make_toolbox

        toolbox = make_toolbox(options.tools, options.corpus)
    pointer = options.model if options.model.is_file() else None
    if pointer is not None and options.against is not None:
        raise ValueError(f"{pointer} is followed, and --against compares with it: leave one of them out.")
    first = options.model if pointer is None else read_pointer(pointer).folder
    for path in (first, options.against):
        if path is not None:
            read_about(find(path))  # before a store is made for a model that is not there
    database = Database(os.environ.get(STORE, DEFAULT_STORE), busy_timeout=STORE_SECONDS)
    given = None if pointer is None else pointer.stem

    def load(path: Path) -> Worker:
        return Worker(path, options.device, options.rows, options.waiting, given)

    workers = [load(path) for path in (first, options.against) if path is not None]
    if len(workers) == 2 and workers[0].about.id == workers[1].about.id:
        raise ValueError(f"{options.model} and {options.against} are the same checkpoint; an arena needs two.")
    hosts: tuple[str, ...] = (*Settings().hosts, options.host.lower(), *(host.lower() for host in options.allow_hosts))
    if options.host in ("0.0.0.0", "::"):
        hosts = ("*",)  # no name is its own; the keys are what keeps others out
    settings = Settings(options.max_tokens, options.most_bytes, keys, hosts)
    return create_app(settings, workers, Keeper(database), toolbox, pointer, load, options.sample), workers


def serve(options: Options, console: Console) -> None:
    """Serves until it is stopped. Raises ValueError where the address is taken."""
    app, workers = build(options)
    with _listen(options.host, options.port) as listening:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
            http=Impatient,
            limit_concurrency=CONNECTIONS,
        )
        name = f"[{options.host}]" if ":" in options.host else options.host
        address = f"http://{name}:{listening.getsockname()[1]}"
        console.print(f"chat      {address}/")
        console.print(f"API       {address}/v1 (OpenAI's chat/completions and completions)")
        console.print(f"watch     {address}/health and /metrics")
        if (sample := options.sample) is not None:
            console.print(
                f"sample    {100 * sample.share:.3g}% of what is asked and answered is kept, masked: {sample.file}"
            )
        if options.host in ("0.0.0.0", "::"):
            console.print("          from elsewhere by this machine's name or address; clients send a key")
        for worker in workers:
            if worker.about.stage == "pretrain":
                console.print(
                    f"note: {worker.name} was never tuned on conversations; it will go on with text, not answer."
                )
        console.print("Ctrl-C stops it.")
        with suppress(KeyboardInterrupt):  # uvicorn raises it once all has ended, where Python hears of it
            Server(config, workers).run(sockets=[listening])
        console.print("stopped")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ValueError(
            f"{host}:{port} can't be listened on ({error.strerror}); give another --port, or 0 for any free one."
        ) from None
    return listening


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
