"""The server put together: OpenAI's interface, the page, what people say, health and metrics."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from trainer.talk.serve.answers import Writer
from trainer.talk.serve.errors import add_handlers
from trainer.talk.serve.follow import Follower
from trainer.talk.serve.guard import Guard
from trainer.talk.serve.keep import Keeper
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.models import Models
from trainer.talk.serve.openai import OpenAi
from trainer.talk.serve.said import Said
from trainer.talk.serve.worker import Worker
from trainer.talk.tools.toolbox import Toolbox

PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Settings:
    """How a server behaves; see `corpuscle serve --help`."""

    max_tokens: int = 512
    """The most tokens of an answer, and how many it gets where the client does not say."""
    most_bytes: int = 1 << 20
    keys: Sequence[str] = field(default=(), repr=False)
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "::1")


def create_app(
    settings: Settings,
    workers: list[Worker],
    keeper: Keeper,
    toolbox: Toolbox | None = None,
    pointer: Path | None = None,
    load: Callable[[Path], Worker] = Worker,
) -> Guard:
    """The ASGI application. The first worker is the default model; with a second one there is an arena.

    With a `pointer`, the first worker gives way, in `workers` too, to one that `load` makes of the checkpoint that the
    file comes to name.
    """
    metrics = Metrics()
    models = Models({worker.name: Writer(worker, metrics, toolbox) for worker in workers}, settings.max_tokens)

    def take_over(old: Worker, new: Worker) -> None:
        models.replace(old.name, Writer(new, metrics, toolbox))
        workers[0] = new

    follower = None if pointer is None else Follower(pointer, workers[0], load, take_over)
    watched = Watched(models, metrics, follower)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        following = None if follower is None else asyncio.create_task(follower.run())
        yield
        if follower is not None and following is not None:
            following.cancel()
            await asyncio.wait([following])
            follower.stop()
        for worker in workers:
            worker.stop()
        for worker in workers:
            await asyncio.to_thread(worker.join)

    app = FastAPI(title="Corpuscle", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_handlers(app)
    for part in (watched, OpenAi(models), Said(models, keeper, metrics)):
        part.routes(app)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    served: ASGIApp = app if follower is None else follower.around(app)
    return Guard(served, tuple(settings.keys), tuple(settings.hosts), settings.most_bytes, watched.count)


@dataclass(frozen=True)
class Watched:
    """What a monitor asks, and the page before anything else."""

    models: Models
    metrics: Metrics
    follower: Follower | None = None

    def routes(self, app: FastAPI) -> None:
        app.get("/health")(self.health)
        app.get("/metrics")(self.prometheus)
        app.get("/api/about")(self.about)

    def count(self, route: str, status: int) -> None:
        self.metrics.requests.labels(route, str(status)).inc()

    async def health(self) -> JSONResponse:
        """503 where a model no longer writes. `waiting`: why a model that should have taken over has not."""
        loads = {name: writer.worker.active for name, writer in self.models.writers.items()}
        failed = [name for name, writer in self.models.writers.items() if writer.worker.failed]
        if failed:
            return JSONResponse({"status": "failed", "failed": failed, "models": loads}, 503)
        waiting = {"waiting": self.follower.failure} if self.follower is not None and self.follower.failure else {}
        return JSONResponse({"status": "ok", "models": loads, **waiting})

    async def prometheus(self) -> Response:
        for name, writer in self.models.writers.items():
            self.metrics.active.labels(name).set(writer.worker.active)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def about(self) -> dict[str, Any]:
        """What the page shows of the server."""
        first = next(iter(self.models.writers.values()))
        return {
            "models": self.models.about(),
            "arena": len(self.models.writers) > 1,
            "context": first.worker.context,
            "max_tokens": self.models.max_tokens,
            "tools": list(first.toolbox.names) if first.toolbox is not None else [],
        }
