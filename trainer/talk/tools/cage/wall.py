"""The wall around a program that nobody trusts: resource limits, and a system call filter that nothing takes off again.

What a computing interpreter needs is allowed (memory, one open pipe to write to, the clock, random bytes); every other
call gets EPERM: no file, socket, process, thread, signal. The filter is classic BPF, as in the kernel's
Documentation/userspace-api/seccomp_filter.rst. Standard library only: the walled process imports nothing else.
"""

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from dataclasses import dataclass

NOBODY = 65534


class NoWallError(OSError):
    """The kernel or the machine can't put the wall up; nothing may be run."""


@dataclass(frozen=True)
class Machine:
    """A processor as the kernel numbers it: its audit token, and its calls (asm/unistd.h)."""

    audit: int
    allowed: dict[str, int]
    write: int
    maps: tuple[int, int]
    """mmap and mprotect, whose third argument is the protection."""


MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        allowed={
            "munmap": 11,
            "brk": 12,
            "rt_sigreturn": 15,
            "mremap": 25,
            "madvise": 28,
            "exit": 60,
            "futex": 202,
            "clock_gettime": 228,
            "exit_group": 231,
            "getrandom": 318,
        },
        write=1,
        maps=(9, 10),
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        allowed={
            "exit": 93,
            "exit_group": 94,
            "futex": 98,
            "clock_gettime": 113,
            "rt_sigreturn": 139,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "madvise": 233,
            "getrandom": 278,
        },
        write=64,
        maps=(222, 226),
    ),
}

# linux/bpf_common.h, linux/filter.h, linux/seccomp.h, linux/prctl.h
LOAD, JUMP_IF_EQUAL, JUMP_IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
KILL, ALLOW, DENY = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
NUMBER, ARCH = 0, 4
PROT_EXEC = 4
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 38, 2

Instruction = tuple[int, int, int, int]
"""Code, how many instructions to jump if true, if false, and the constant."""


def build_filter(machine: Machine) -> list[Instruction]:
    """The filter's program. Only fd 1 may be written to, and no memory made executable."""
    program = [
        (LOAD, 0, 0, ARCH),
        (JUMP_IF_EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, KILL),  # a 32-bit call has the numbers of other calls
        (LOAD, 0, 0, NUMBER),
    ]
    for number in machine.allowed.values():
        program += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    program += _on(machine.write, [(LOAD, 0, 0, _argument(0)), (JUMP_IF_EQUAL, 0, 1, 1), (RETURN, 0, 0, ALLOW)])
    for number in machine.maps:
        executable = (JUMP_IF_ANY_BIT, 1, 0, PROT_EXEC)
        program += _on(number, [(LOAD, 0, 0, _argument(2)), executable, (RETURN, 0, 0, ALLOW)])
    return [*program, (RETURN, 0, 0, DENY)]


def _on(number: int, body: list[Instruction]) -> list[Instruction]:
    """Instructions for one call; where they reach no verdict, it is denied."""
    return [(JUMP_IF_EQUAL, 0, len(body) + 1, number), *body, (RETURN, 0, 0, DENY)]


def _argument(index: int) -> int:
    """Where the low half of a call's argument lies in struct seccomp_data, on a little-endian machine."""
    return 16 + 8 * index


def put_up(cpu_seconds: int, memory_bytes: int) -> None:
    """Shuts this process in for good. Raises NoWallError where that can't be done.

    What the program needs must be imported before: not even a module's file can be opened behind the wall.
    """
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or sys.byteorder != "little" or struct.calcsize("P") != 8 or machine is None:
        raise NoWallError(f"no system call filter for {sys.platform} on {platform.machine()}")
    _limit(cpu_seconds, memory_bytes)
    if os.geteuid() == 0:  # for root RLIMIT_NPROC does not count
        with contextlib.suppress(OSError):  # a user namespace may have no nobody; the filter holds for root too
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user would take it back
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    program = build_filter(machine)
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(_Program(len(program), ctypes.addressof(buffer))))
    _try_it()


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _limit(cpu_seconds: int, memory_bytes: int) -> None:
    for name, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(name)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(name, (most, most))


def _prctl(option: int, *arguments: object) -> None:
    # Varargs of prctl are unsigned longs; a bare int would be passed as 32 bits.
    longs = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
    longs += [ctypes.c_ulong(0)] * (4 - len(longs))
    if ctypes.CDLL(None, use_errno=True).prctl(option, *longs):
        number = ctypes.get_errno()
        raise NoWallError(number, f"prctl({option}): {os.strerror(number)}")


def _try_it() -> None:
    """Some sandboxes take a filter and don't apply it: EMFILE, of RLIMIT_NOFILE, would say so here."""
    try:
        os.close(os.open("/", os.O_RDONLY))
    except OSError as error:
        if error.errno == errno.EPERM:
            return
    raise NoWallError("the system call filter is not in force")
