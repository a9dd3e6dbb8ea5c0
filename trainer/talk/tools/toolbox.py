"""The tools that an assistant may call, by name: a call always has a result, whatever the model or the tool did."""

import logging
from collections.abc import Sequence
from pathlib import Path

from trainer.talk.conversation import Call
from trainer.talk.tools.calculator import Calculator
from trainer.talk.tools.plot import Plot
from trainer.talk.tools.python import Python
from trainer.talk.tools.search import Search
from trainer.talk.tools.tool import TOOLS, WITHOUT_CORPUS, Result, Source, Tool, ToolError, visible

__all__ = ["TOOLS", "Result", "Source", "Tool", "ToolError", "Toolbox", "make_toolbox"]

MAX_INPUT = 8_000
"""Characters of a call. 200 points to plot are 4,000."""

_log = logging.getLogger(__name__)


class Toolbox:
    """Runs calls. `limit_chars` is the most that a result's text may have, the mark of a cut included."""

    def __init__(self, tools: Sequence[Tool], limit_chars: int = 2000) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.limit_chars = limit_chars

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.tools)

    def run(self, call: Call) -> Result:
        """A call's result; an error is one too, and none is raised."""
        result = self._run(call)
        return Result(_cut(visible(result.text), self.limit_chars), result.png, result.error, result.sources)

    def _run(self, call: Call) -> Result:
        tool = self.tools.get(call.tool)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return Result(f'there is no tool "{call.tool[:40]}"; the tools are: {known}', error=True)
        if len(call.input) > MAX_INPUT:
            return Result(f"the input has {len(call.input):,} characters; at most {MAX_INPUT:,} are read", error=True)
        try:
            return tool.run(call.input)
        except ToolError as error:
            return Result(str(error), error=True)
        except Exception as error:  # a fault of the tool must end neither the conversation nor the server
            _log.warning("tool %s failed", call.tool, exc_info=error)
            return Result(f"{call.tool} failed: {type(error).__name__}: {error}", error=True)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    mark = f"\n[cut; {len(text):,} characters in all]"
    return text[: max(limit - len(mark), 0)] + mark[-limit:]


def make_toolbox(names: Sequence[str], corpus: Path | None) -> Toolbox:
    """The tools of these names. Raises ValueError for an unknown one, and where `search` has no corpus to search.

    Raises FileNotFoundError or ValueError where `corpus` is no tokenised corpus.
    """
    tools: list[Tool] = []
    for name in dict.fromkeys(names):
        if name == "calculator":
            tools.append(Calculator())
        elif name == "python":
            tools.append(Python())
        elif name == "plot":
            tools.append(Plot())
        elif name == "search":
            if corpus is None:
                raise ValueError(WITHOUT_CORPUS)
            tools.append(Search(corpus))
        else:
            raise ValueError(f'there is no tool "{name}"; known are {", ".join(TOOLS)}')
    return Toolbox(tools)
