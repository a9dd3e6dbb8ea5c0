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
from trainer.talk.serve.follow import Answering, Follower
from trainer.talk.serve.guard import Guard
from trainer.talk.serve.keep import Keeper
from trainer.talk.serve.metrics import Metrics
from trainer.talk.serve.models import Models
from trainer.talk.serve.openai import OpenAi
from trainer.talk.serve.said import Said
from trainer.talk.serve.traffic import Sample, Traffic
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
    sample: Sample | None = None,
) -> Guard:
    """The ASGI application. The first worker is the default model; with a second one there is an arena. With a
    `sample`, that share of what is asked and answered is kept for monitors.

    With a `pointer`, the first worker gives way, in `workers` too, to those that `load` makes of the checkpoints that
    the file comes to name: the one that people talk to, and perhaps a canary behind it.
    """
    metrics = Metrics()
    models = Models({worker.name: Writer(worker, metrics, toolbox) for worker in workers}, settings.max_tokens)

    def take_over(answering: Answering) -> None:
        old, canary = models.find(None), answering.canary
        if old.worker is not answering.worker:
            models.replace(old.worker.name, Writer(answering.worker, metrics, toolbox))
        models.try_out(None if canary is None else Writer(canary, metrics, toolbox), answering.share)
        workers[:] = answering.workers

    follower = None if pointer is None else Follower(pointer, workers[0], load, take_over)
    traffic = None if sample is None else Traffic(sample, metrics)
    watched = Watched(models, metrics, follower, 0.0 if sample is None else sample.share)

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
        if traffic is not None:
            await asyncio.to_thread(traffic.close)

    app = FastAPI(title="Corpuscle", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_handlers(app)
    for part in (watched, OpenAi(models, traffic), Said(models, keeper, metrics, traffic)):
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
    sampled: float = 0.0
    """The share of what is asked and answered that is kept."""

    def routes(self, app: FastAPI) -> None:
        app.get("/health")(self.health)
        app.get("/metrics")(self.prometheus)
        app.get("/api/about")(self.about)

    def count(self, route: str, status: int) -> None:
        self.metrics.requests.labels(route, str(status)).inc()

    async def health(self) -> JSONResponse:
        """503 where a model no longer writes; a canary that doesn't is passed over, and told of like `waiting`: why a
        model that should have taken over has not."""
        loads = {writer.worker.name: writer.worker.active for writer in self.models.all}
        failed = [name for name, writer in self.models.writers.items() if writer.worker.failed]
        if failed:
            return JSONResponse({"status": "failed", "failed": failed, "models": loads}, 503)
        waiting = self.follower.failure if self.follower is not None else ""
        if self.models.canary is not None and self.models.canary.worker.failed:
            waiting = f"the canary {self.models.canary.worker.name} no longer writes"
        return JSONResponse({"status": "ok", "models": loads} | ({"waiting": waiting} if waiting else {}))

    async def prometheus(self) -> Response:
        for gauge in (self.metrics.active, self.metrics.share):
            gauge.clear()  # those that have left
        for writer, share in self.models.shares:
            self.metrics.active.labels(writer.worker.name).set(writer.worker.active)
            self.metrics.share.labels(writer.worker.name).set(share)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def about(self) -> dict[str, Any]:
        """What the page shows of the server."""
        first = next(iter(self.models.writers.values()))
        return {
            "models": self.models.about()[: len(self.models.writers)],  # a canary is given, not chosen
            "arena": len(self.models.writers) > 1,
            "context": first.worker.context,
            "max_tokens": self.models.max_tokens,
            "sampled": self.sampled,
            "tools": list(first.toolbox.names) if first.toolbox is not None else [],
        }
