import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.talk.conversation import Call
from trainer.talk.tools.tool import argument, visible
from trainer.talk.tools.toolbox import MAX_INPUT, Result, Toolbox, make_toolbox


@dataclass
class Does:
    """A tool that answers with what a function makes of its input."""

    function: Callable[[str], str]
    name: str = "does"
    description: str = ""

    def run(self, input: str) -> Result:
        return Result(self.function(input))


def test_a_call_goes_to_the_tool_of_its_name() -> None:
    box = make_toolbox(["calculator", "python"], None)
    assert box.run(Call("calculator", "12*34")) == Result("408")
    assert box.run(Call("python", "12*34")) == Result("408")


def test_an_unknown_tool_is_an_error_that_names_the_known() -> None:
    result = make_toolbox(["calculator", "plot"], None).run(Call("calc", "1"))
    assert (result.error, result.text) == (True, 'there is no tool "calc"; the tools are: calculator, plot')


def test_a_tool_that_fails_is_an_error_and_nothing_is_raised() -> None:
    for failure in (ZeroDivisionError(), RecursionError("deep"), MemoryError(), KeyError("x")):

        def fail(_: str, failure: Exception = failure) -> str:
            raise failure

        result = Toolbox([Does(fail)]).run(Call("does", ""))
        assert result.error
        assert type(failure).__name__ in result.text


def test_an_input_may_be_long_but_not_too_long() -> None:
    box = Toolbox([Does(lambda text: str(len(text)))])
    assert box.run(Call("does", "a" * MAX_INPUT)) == Result(str(MAX_INPUT))
    assert box.run(Call("does", "a" * (MAX_INPUT + 1))).error


def test_a_text_is_cut_at_the_limit_with_a_mark() -> None:
    box = Toolbox([Does(lambda text: text)], limit_chars=100)
    assert box.run(Call("does", "a" * 100)).text == "a" * 100
    cut = box.run(Call("does", "a" * 101)).text
    assert len(cut) == 100
    assert cut.endswith("a\n[cut; 101 characters in all]")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert visible("a\x1b[31mb\x07\u202ec\r\nd\te\ud800") == "a[31mbc\nd\te\ufffd"
    assert visible("می‌خواهم 👩‍💻") == "می‌خواهم 👩‍💻"


@pytest.mark.parametrize(
    ("input", "understood"),
    [
        ("1+2", "1+2"),
        ('{"expression": "1+2"}', "1+2"),
        ('{"expression": 1}', '{"expression": 1}'),
        ('{"other": "1"}', '{"other": "1"}'),
        ("{1, 2}", "{1, 2}"),
        ('{"a":' * 5000, '{"a":' * 5000),
    ],
)
def test_an_argument_is_plain_or_json(input: str, understood: str) -> None:
    assert argument(input, "expression") == understood


def test_a_toolbox_of_unknown_tools_or_without_a_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no tool "browser"; known are calculator, python, search, plot'):
        make_toolbox(["browser"], None)
    with pytest.raises(ValueError, match="finished run by --corpus"):
        make_toolbox(["search"], None)
    with pytest.raises(FileNotFoundError, match="no tokenized corpus here"):
        make_toolbox(["search"], tmp_path)


def test_heavy_libraries_wait_until_a_tool_runs() -> None:
    program = (
        "import sys; from trainer.talk.tools.toolbox import make_toolbox;"
        "make_toolbox(['calculator', 'python', 'plot'], None);"
        "print([name for name in ('matplotlib', 'bm25s', 'torch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
