"""Worker processes on this machine, forked from one that has imported everything: 30 ms each in place of 1.5 to 2.5 s.

Beam starts each as an interpreter of its own, which imports Beam, and at the first element of a stage what that needs.
The process that ours are forked from is Python's own fork server: it has no threads, imports while this process still
builds the graph, and the workers share its memory.
"""

import contextlib
import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from types import ModuleType

_context = multiprocessing.get_context("forkserver")


def prepare() -> None:
    """Start the process that workers are forked from, if it does not run yet. Returns at once."""
    _context.set_forkserver_preload(["pipeline.preloaded"])
    forkserver.ensure_running()


def start(environment: dict[str, str]) -> BaseProcess:
    """A worker; `environment` has what `apache_beam.runners.worker.sdk_worker_main` wants to be told."""
    prepare()
    # A daemon: it ends with this process.
    worker = _context.Process(target=_work, args=({**os.environ, **environment},), daemon=True)
    with _no_main():
        worker.start()
    return worker


def _work(environment: dict[str, str]) -> None:
    from apache_beam.runners.worker import sdk_worker_main

    logging.getLogger().handlers.clear()  # Beam's own, which tells the runner, follows
    os.environ.clear()  # the fork server's is as old as that
    os.environ.update(environment)
    sdk_worker_main.main([])


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Workers need nothing of the main module, and would run it: a script that begins a run without asking whether it
    is the main module would begin another."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
