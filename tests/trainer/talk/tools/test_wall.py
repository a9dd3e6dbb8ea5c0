"""Programs that try to get out: (a) of the whole tool, (b) of the kernel's wall alone, without the subset before it.

`{secret}` is a file that must not be read, `{target}` one that must not be made, `{port}` a listening socket. A program
that gets what it wants prints ESCAPED or the secret.
"""

import os
import platform
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.talk.tools.cage import wall
from trainer.talk.tools.python import Limits, run_walled

LIMITS = Limits(seconds=2.0)
SECRET = "the-secret-of-the-house"

TRUE_OUTSIDE = {
    "open a file": "print(open('{secret}').read())",
    "open by descriptor": "import os\nprint(os.read(os.open('{secret}', os.O_RDONLY), 99))",
    "read passwd": "print('ESCAPED' if 'root' in open('/etc/passwd').read() else '')",
    "list a folder": "import os\nprint('ESCAPED', os.listdir('/'))",
    "look at a file": "import os\nprint('ESCAPED', os.stat('{secret}'))",
    "read the environment of a process": "print('ESCAPED', open('/proc/self/environ').read())",
    "write a file": "open('{target}', 'w').write('ESCAPED')",
    "write by descriptor": "import os\nos.write(os.open('{target}', os.O_CREAT | os.O_WRONLY), b'x')",
    "write in the working folder": "open('x', 'w')\nprint('ESCAPED')",
    "make a folder": "import os\nos.mkdir('{target}')",
    "make a link": "import os\nos.symlink('/etc/passwd', '{target}')",
    "rename a file": "import os\nos.rename('{secret}', '{target}')",
    "make a pipe file": "import os\nos.mkfifo('{target}')",
    "fork": "import os\npid = os.fork()\nprint('ESCAPED' if pid else '')",
    "a fork bomb": "import os\nfor _ in range(3):\n    os.fork()\n    print('ESCAPED', flush=True)",
    "a thread": "import _thread\n_thread.start_new_thread(lambda: None, ())\nprint('ESCAPED')",
    "a shell": "import os\nos.system('echo ESCAPED')",
    "a process": "import os\nos.posix_spawn('/bin/sh', ['sh', '-c', 'echo ESCAPED'], {})",
    "another program": "import os\nos.execv('/bin/echo', ['echo', 'ESCAPED'])",
    "subprocess": "import subprocess\nprint(subprocess.check_output('echo ESCAPED', shell=True))",
    "a socket": "import socket\nsocket.create_connection(('127.0.0.1', {port}))\nprint('ESCAPED')",
    "a socket of the C library": "import ctypes\nif ctypes.CDLL(None).socket(2, 1, 0) >= 0: print('ESCAPED')",
    "a shell of the C library": "import ctypes\nctypes.CDLL(None).system(b'echo ESCAPED')",
    "code of its own": "import mmap\nm = mmap.mmap(-1, 4096, prot=7)\nprint('ESCAPED')",
    "code of its own, by the C library": (
        "import ctypes\nc = ctypes.CDLL(None)\nc.mmap.restype = ctypes.c_void_p\n"
        "if c.mmap(None, 4096, 7, 0x22, -1, 0) != 2**64 - 1: print('ESCAPED')"
    ),
    "memory made executable": (
        "import ctypes\nc = ctypes.CDLL(None)\nc.mmap.restype = ctypes.c_void_p\n"
        "at = ctypes.c_void_p(c.mmap(None, 4096, 3, 0x22, -1, 0))\nif c.mprotect(at, 4096, 7) == 0: print('ESCAPED')"
    ),
    "a signal to its parent": "import os\nos.kill(os.getppid(), 0)\nprint('ESCAPED')",
    "a signal handler": "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nprint('ESCAPED')",
    "a file in memory": "import os\nos.memfd_create('x')\nprint('ESCAPED')",
    "a pipe": "import os\nos.pipe()\nprint('ESCAPED')",
    "another descriptor": "import os\nos.dup(1)\nprint('ESCAPED')",
    "a write to standard error": "import os\nos.write(2, b'x')\nprint('ESCAPED')",
    "its rank": "import os\nos.nice(0)\nprint('ESCAPED')",
    "sleeping on": "import time\ntime.sleep(0.1)\nprint('ESCAPED')",
    "subclasses": (
        "todo = [().__class__.__base__]\nwhile todo:\n    c = todo.pop()\n"
        "    todo += type.__subclasses__(c)\n    if c.__name__ == 'FileIO': print(c('{secret}').read())"
    ),
    "a subclass's globals": (
        "for c in ().__class__.__base__.__subclasses__():\n    if c.__name__ == '_wrap_close':\n"
        "        print(c.__init__.__globals__['system']('echo ESCAPED'))"
    ),
    "a generator's frame": (
        "def f():\n    yield g.gi_frame.f_back\ng = f()\nframe = next(g)\n"
        "print(frame.f_builtins['open']('{secret}').read())"
    ),
    "an error's frame": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n"
        "    print(e.__traceback__.tb_frame.f_builtins['open']('{secret}').read())"
    ),
    "a pattern's attribute": (
        "match ():\n    case object(__class__=c):\n        for s in c.__base__.__subclasses__():\n"
        "            if s.__name__ == '_wrap_close': s.__init__.__globals__['system']('echo ESCAPED')"
    ),
    "a module behind a module": "import random\nrandom._os.system('echo ESCAPED')",
    "a module in a module": "import statistics\nprint(statistics.sys.modules['os'].system('echo ESCAPED'))",
    "sys.modules": "import sys\nsys.modules['os'].system('echo ESCAPED')",
    "gc": (
        "import gc\nfor o in gc.get_objects():\n    if isinstance(o, dict) and callable(o.get('system')):\n"
        "        o['system']('echo ESCAPED')"
    ),
    "string.Formatter": (
        "import string\nget = string.Formatter().get_field\n"
        "base = get('0.__class__.__base__', [()], {})[0]\n"
        "for c in get('0.__subclasses__', [base], {})[0]():\n    if c.__name__ == '_wrap_close':\n"
        "        get('0.__init__.__globals__', [c], {})[0]['system']('echo ESCAPED')"
    ),
    "__import__": "__import__('os').system('echo ESCAPED')",
    "__builtins__": "b = __builtins__\n(b if isinstance(b, dict) else vars(b))['open']('{target}', 'w')",
    "exec": "exec(\"import os; os.system('echo ESCAPED')\")",
    "eval": "eval(\"__import__('os').system('echo ESCAPED')\")",
    "getattr": "getattr(getattr((), '__class__'), '__base__')\n__import__('os').system('echo ESCAPED')",
    "a lambda's globals": "f = lambda: 0\nf.__globals__['__builtins__']\n__import__('os').system('echo ESCAPED')",
    "other byte code": (
        "def f(): pass\nf.__code__ = compile(\"__import__('os').system('echo ESCAPED')\", '', 'exec')\nf()"
    ),
}
"""What does its harm where nothing stops it; `test_without_a_wall_...` tries them all."""

ONLY_INSIDE = {
    "format strings": "class A:\n    def __init__(self): pass\nprint('{0.__init__.__globals__}'.format(A))",
    "breakpoint": "breakpoint()",
    "input": "input()",
    "other limits": (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))\nprint('ESCAPED')"  # root may outside
    ),
    "another user": "import os\nos.setuid(0)\nos.setresuid(0, 0, 0)\nprint('ESCAPED')",
    "to take the filter off": "import ctypes\nif ctypes.CDLL(None).prctl(22, 0, 0) == 0: print('ESCAPED')",
    "to trace its parent": (
        "import ctypes, os\nif ctypes.CDLL(None).ptrace(0x4206, os.getppid(), 0, 0) == 0: print('ESCAPED')"
    ),
    "a memory bomb": "x = [bytes(1 << 20)]\nwhile True: x += x",
    "a memory bomb in C": "import ctypes\nif ctypes.CDLL(None).calloc(1 << 20, 1 << 12): print('ESCAPED')",
    "an infinite loop": "while True: pass",
    "an infinite loop that catches all": "while True:\n    try:\n        while 1: 0\n    except BaseException: 0",
    "a lock taken twice": "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\nlock.acquire()",
    "huge output": "while True: print('spam' * 999)",
    "huge numbers": "10 ** 10 ** 9",
    "a slow pattern": "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    "deep recursion": "def f(): f()\nf()",
    "deep recursion without a limit": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "deep recursion in C": "x = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
    "deep nesting": "-" * 100_000 + "1",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "an early end": "import os\nos._exit(0)",
}
ATTEMPTS = TRUE_OUTSIDE | ONLY_INSIDE
HANGING = (
    "a memory bomb",
    "an infinite loop",
    "an infinite loop that catches all",
    "a lock taken twice",
    "huge numbers",
    "a slow pattern",
    "deep recursion without a limit",
)
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in HANGING else ()) for name in ATTEMPTS]


@dataclass(frozen=True)
class House:
    secret: Path
    target: Path
    listener: socket.socket

    def program(self, attempt: str) -> str:
        code = ATTEMPTS[attempt].replace("{secret}", str(self.secret)).replace("{target}", str(self.target))
        return code.replace("{port}", str(self.listener.getsockname()[1]))

    def is_broken_into(self, output: str) -> bool:
        connected = bool(select.select([self.listener], [], [], 0)[0])
        gone = not self.secret.exists() or self.target.exists() or self.target.is_symlink()
        return connected or gone or SECRET in output or "ESCAPED" in output


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        house = House(tmp_path / "secret", tmp_path / "target", listener)
        house.secret.write_text(SECRET)
        tmp_path.chmod(0o777)  # so that it is the filter that keeps a program out, not the file's mode
        yield house


@pytest.mark.slow
@pytest.mark.parametrize("attempt", TRUE_OUTSIDE)
def test_without_a_wall_they_all_get_what_they_want(house: House, attempt: str, tmp_path: Path) -> None:
    """Else the other two tests would prove nothing."""
    command = [sys.executable, "-I", "-c", house.program(attempt)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert house.is_broken_into(done.stdout)


@pytest.mark.parametrize("attempt", NAMES)
def test_nothing_gets_out_of_the_tool(house: House, attempt: str) -> None:
    assert not house.is_broken_into(run_walled(house.program(attempt), LIMITS).text)


@pytest.mark.parametrize("attempt", NAMES)
def test_nothing_gets_through_the_wall_alone(house: House, attempt: str) -> None:
    assert not house.is_broken_into(run_walled(house.program(attempt), LIMITS, checked=False).text)


X86_PROBES = {335, 336}
"""uretprobe and uprobe, since Linux 6.11: no filter is asked, and the kernel kills a process that calls them itself."""


def test_every_other_system_call_is_denied() -> None:
    """All numbers that this kernel could know, those of x86's x32 twins too."""
    machine = wall.MACHINES[platform.machine()]
    spared = sorted({*machine.allowed.values(), machine.write, *machine.maps, *X86_PROBES})
    code = f"""
import ctypes, errno
call = ctypes.CDLL(None, use_errno=True).syscall
call.argtypes = [ctypes.c_long] * 7
numbers = [n for n in range(1100) if n not in {spared}]
numbers += [n + 0x40000000 for n in range(1100)]
through = [n for n in numbers if call(n, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.EPERM]
print(len(numbers), through)
"""
    assert run_walled(code, Limits(seconds=20), checked=False).text == f"{2200 - len(spared)} []"


def verdict(program: list[wall.Instruction], audit: int, number: int, *arguments: int) -> int:
    """What the kernel would make of a call: an interpreter of the four instructions that the filter has."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = {wall.NUMBER: number, wall.ARCH: audit}
    data |= {16 + 8 * index: value & 0xFFFFFFFF for index, value in enumerate(padded)}
    accumulator = at = 0
    while True:
        code, if_true, if_false, constant = program[at]
        if code == wall.RETURN:
            return constant
        if code == wall.LOAD:
            accumulator, jump = data[constant], 0
        elif code == wall.JUMP_IF_EQUAL:
            jump = if_true if accumulator == constant else if_false
        else:
            assert code == wall.JUMP_IF_ANY_BIT
            jump = if_true if accumulator & constant else if_false
        at += 1 + jump


@pytest.mark.parametrize("name", wall.MACHINES)
def test_the_filter_of_each_machine_allows_what_it_says_and_no_more(name: str) -> None:
    machine = wall.MACHINES[name]
    program, special = wall.build_filter(machine), {machine.write, *machine.maps}
    for number in range(1100):
        expected = wall.ALLOW if number in machine.allowed.values() else wall.DENY
        assert number in special or verdict(program, machine.audit, number) == expected
    for descriptor in (0, 1, 2, 3, 1 << 31):
        assert (verdict(program, machine.audit, machine.write, descriptor) == wall.ALLOW) == (descriptor == 1)
    for number in machine.maps:
        for protection in range(8):
            found = verdict(program, machine.audit, number, 0, 4096, protection)
            assert (found == wall.ALLOW) == (protection < wall.PROT_EXEC)


@pytest.mark.parametrize("name", wall.MACHINES)
def test_calls_of_another_machine_kill(name: str) -> None:
    program = wall.build_filter(wall.MACHINES[name])
    others = {0x40000003, 0x40000028, *(machine.audit for machine in wall.MACHINES.values())}
    for audit in others - {wall.MACHINES[name].audit}:  # i386, arm, and each other's
        assert verdict(program, audit, 60) == wall.KILL


def test_where_no_wall_can_be_put_up_nothing_runs() -> None:
    program = (
        "import platform; platform.machine = lambda: 'riscv64'\n"
        "from trainer.talk.tools.cage import wall\n"
        "try: wall.put_up(2, 1 << 29)\n"
        "except wall.NoWallError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "no system call filter for linux on riscv64\n"


def test_a_filter_that_does_not_hold_is_noticed() -> None:
    program = (
        "from trainer.talk.tools.cage import wall\n"
        "wall.build_filter = lambda machine: [(wall.RETURN, 0, 0, wall.ALLOW)]\n"
        "try: wall.put_up(2, 1 << 29)\n"
        "except wall.NoWallError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "the system call filter is not in force\n"


def test_a_program_sees_none_of_our_environment() -> None:
    os.environ["A_KEY_OF_OURS"] = SECRET
    try:
        result = run_walled("import os\nos.environ", Limits(seconds=20), checked=False)
    finally:
        del os.environ["A_KEY_OF_OURS"]
    assert SECRET not in result.text
    assert result.text.startswith("environ({")


def test_nothing_is_left_running() -> None:
    """A program that hangs is dead, not a zombie, when its result is there: no child is left to wait for."""
    program = (
        "import os; from trainer.talk.tools.python import Limits, run_walled\n"
        "hangs = 'import _thread; l = _thread.allocate_lock(); l.acquire(); l.acquire()'\n"
        "print(run_walled(hangs, Limits(seconds=1), checked=False).text)\n"
        "try: os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError: print('none')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "stopped: the program took more than 1 s\nnone\n"
