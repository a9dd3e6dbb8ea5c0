"""A chat in the terminal: the answer appears as it is written; /system, /report and the like are commands."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.checkpoint import load
from trainer.engine import Engine
from trainer.sampling import DEFAULT, Sampling
from trainer.talk.conversation import ConversationError, Message, read_template
from trainer.talk.turn import Limits, TooLongError, Turn

HELP = """\
/system TEXT   set the system message and begin anew; without TEXT, show it
/retry         answer the last message again
/undo          take the last exchange back
/history       show the conversation
/report        report the last answer as a problem
/new           begin anew
/help          show this
/quit          leave; Ctrl-D too
"""


@dataclass
class Chat:
    """A conversation with a model. `messages` are what has been said, the system message first where there is one."""

    model: Path
    sampling: Sampling = DEFAULT
    max_tokens: int = 512
    device: str = "cpu"
    toolbox: Any = None
    """A `trainer.talk.tools.toolbox.Toolbox`, or None."""
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        loaded = load(self.model, device=self.device)
        self.about = loaded.about
        self.template = read_template(loaded.vocabulary)
        self.engine = Engine(loaded.model, 1)
        self.asked = 0

    def answer(self, text: str) -> Iterator[str]:
        """Says something; yields the answer in pieces. Left early, what was written so far is the answer."""
        self.messages.append(Message("user", text))
        try:
            turn = self._turn()
        except (TooLongError, ConversationError):
            self.messages.pop()
            raise
        number = None
        try:
            while turn.finish is None:
                number = self.engine.add(turn.request())
                while turn.finish is None and not turn.calls and self.engine.busy:
                    for event in self.engine.step():
                        if piece := turn.feed(event):
                            yield piece
                self.engine.cancel(number)
                if turn.calls:
                    results = [self.toolbox.run(call) for call in turn.calls]
                    for call, result in zip(turn.calls, results, strict=True):
                        yield f"\n[{call.tool} {call.input} -> {result.text}]\n"
                    turn.results([result.text for result in results])
        finally:
            if number is not None:
                self.engine.cancel(number)
            if turn.finish is None:
                turn.interrupt()
            self.messages += turn.said

    def set_system(self, text: str) -> None:
        self.messages = [Message("system", text)] if text else []

    def undo(self) -> str | None:
        """Takes back the last thing asked and what answered it; returns what was asked."""
        for place in range(len(self.messages) - 1, -1, -1):
            if self.messages[place].role == "user":
                text = self.messages[place].content
                del self.messages[place:]
                return text
        return None

    def _turn(self) -> Turn:
        self.asked += 1
        return Turn(
            self.template,
            self.messages[:],
            self.sampling,
            Limits(self.max_tokens),
            self.engine.context,
            tools=self.toolbox is not None,
            stream=self.asked << 20,
        )


Ask = Callable[[str], str]
"""Shows a prompt and returns a line; raises EOFError at the end."""

Report = Callable[[Sequence[Message], str, str, str, bool], str]
"""Stores (messages, category, description, wished answer, may be trained on); returns the report's id."""


def converse(chat: Chat, ask: Ask, show: Callable[[str], None], report: Report) -> None:
    """Runs a chat until its user leaves. `show` prints text as it is (no line end is added).

    What `report` raises is shown, and the chat goes on.
    """
    show(
        f"{chat.about.stage} {chat.about.id[:12]}, context {chat.engine.context:,} tokens. /help shows the commands.\n"
    )
    if chat.about.stage == "pretrain":
        show(
            "It was never tuned on conversations: it will go on with text, not answer (`corpuscle sample` suits it).\n"
        )
    while True:
        try:
            line = ask("> ").strip()
        except EOFError:
            show("\n")
            return
        except KeyboardInterrupt:
            show("\n(/quit or Ctrl-D leaves)\n")
            continue
        if line == "/quit":
            return
        if line.startswith("/"):
            _command(chat, line, ask, show, report)
        elif line:
            _say(chat, line, show)


def _say(chat: Chat, text: str, show: Callable[[str], None]) -> None:
    try:
        for piece in chat.answer(text):
            show(piece)
        show("\n")
    except KeyboardInterrupt:
        show(" (stopped)\n")
    except ConversationError as error:
        show(f"{error}\n")
    except TooLongError as error:
        show(f"{error} /new begins anew, /undo takes the last exchange back.\n")


def _command(
    chat: Chat,
    line: str,
    ask: Ask,
    show: Callable[[str], None],
    report: Report,
) -> None:
    name, _, rest = line.partition(" ")
    if name == "/system":
        if rest.strip():
            chat.set_system(rest.strip())
            show("The system message is set; the conversation begins anew.\n")
        else:
            first = chat.messages[0] if chat.messages else None
            show(f"{first.content}\n" if first and first.role == "system" else "There is no system message.\n")
    elif name == "/new":
        system = chat.messages[0].content if chat.messages and chat.messages[0].role == "system" else ""
        chat.set_system(system)
    elif name in ("/undo", "/retry"):
        asked = chat.undo()
        if asked is None:
            show("Nothing has been said yet.\n")
        elif name == "/retry":
            _say(chat, asked, show)
    elif name == "/history":
        for message in chat.messages:
            calls = "".join(f" [{call.tool} {call.input}]" for call in message.calls)
            show(f"{message.role}: {message.content}{calls}\n")
    elif name == "/report":
        _report(chat, ask, show, report)
    elif name == "/help":
        show(HELP)
    else:
        show(f"There is no command {name}. /help shows them.\n")


CATEGORIES = ("wrong", "harmful", "refusal", "format", "repetition", "injection", "other")


def _report(
    chat: Chat,
    ask: Ask,
    show: Callable[[str], None],
    report: Report,
) -> None:
    if not chat.messages or chat.messages[-1].role != "assistant":
        show("There is no answer to report yet.\n")
        return
    try:
        category = ask(f"what is wrong? ({', '.join(CATEGORIES)}) ").strip().lower()
        if category not in CATEGORIES:
            show("Not reported: that is none of them.\n")
            return
        description = ask("describe it, if you like: ").strip()
        wished = ask("the answer you wish for, if you like: ").strip()
        consent = ask("may it be used to train models? (y/N) ").strip().lower() in ("y", "yes")
        show(f"Reported as {report(chat.messages, category, description, wished, consent)}. Thank you.\n")
    except (EOFError, KeyboardInterrupt):
        show("\nNot reported.\n")
    except Exception as error:
        show(f"Not reported: {error}\n")
