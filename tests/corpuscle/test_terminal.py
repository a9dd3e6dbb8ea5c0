"""What goes to a terminal can't steer it, and a reader that goes away stops nothing."""

import os

from corpuscle.terminal import Unbroken, plain


def test_what_steers_a_terminal_or_can_not_be_written_is_shown_as_a_mark() -> None:
    assert plain("a\x1b[2Jb\u202ec\udcffd\te\n") == "a\ufffd[2Jb\ufffdc\ufffdd\te\n"


def test_printing_goes_on_when_nobody_reads() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", buffering=1) as gone:
        console = Unbroken(file=gone)
        for _ in range(3):
            console.print("told to nobody")  # rich alone ends the program at the first
        assert console.quiet
