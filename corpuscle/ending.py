"""The end of the command line's process, which nothing can spoil any more."""

import atexit
import os
import sys
import threading
from collections.abc import Callable


def run_to_the_end(command: Callable[[], object]) -> None:
    """Calls `command` and ends the process with its status, after its threads and what waits for the end.

    Without the interpreter's own end, in which a thread of Arrow's that is still at work takes the process with it
    ("terminate called without an active exception", github.com/apache/arrow/issues/34314): all was done and said, and
    the status was 134, in one of some thousand commands on a busy machine. Other exceptions than SystemExit pass.
    """
    status: object = 0
    try:
        command()
    except SystemExit as ended:
        status = ended.code
    threading._shutdown()  # type: ignore[attr-defined]  # waits for those that are no daemons
    atexit._run_exitfuncs()
    if isinstance(status, str):
        print(status, file=sys.stderr)
    code = status if isinstance(status, int) else int(status is not None)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads any more, or the disk is full
            code = code or 1
    os._exit(code)
