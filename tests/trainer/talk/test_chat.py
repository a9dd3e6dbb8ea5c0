from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.trainer.talk.serve.conftest import write_model
from trainer.sampling import Sampling
from trainer.talk.chat import Chat, converse
from trainer.talk.conversation import Message


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), 1)


class Person:
    """Types lines, reads what is shown, and reports."""

    def __init__(self, *lines: str) -> None:
        self.lines, self.seen, self.reports = list(lines), "", list[tuple[list[Message], str, str, str, bool]]()

    def ask(self, prompt: str) -> str:
        self.seen += prompt
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        if line == "^C":
            raise KeyboardInterrupt
        return line

    def show(self, text: str) -> None:
        self.seen += text

    def report(self, messages: Sequence[Message], category: str, description: str, wished: str, consent: bool) -> str:
        if description == "full":
            raise OSError("the disk is full")
        self.reports.append((list(messages), category, description, wished, consent))
        return "r1"


def talk(model: Path, *lines: str) -> tuple[Chat, Person]:
    chat, person = Chat(model, Sampling(seed=1), max_tokens=6), Person(*lines)
    converse(chat, person.ask, person.show, person.report)
    return chat, person


def test_messages_are_answered_and_remembered(model: Path) -> None:
    chat, person = talk(model, "the cat", "and the dog", "/history")
    assert [message.role for message in chat.messages] == ["user", "assistant"] * 2
    assert chat.messages[1].content in person.seen
    assert "user: and the dog" in person.seen


def test_a_system_message_begins_anew(model: Path) -> None:
    chat, _ = talk(model, "hi", "/system Be brief.", "one")
    assert chat.messages[0] == Message("system", "Be brief.")
    assert [message.content for message in chat.messages if message.role == "user"] == ["one"]


def test_undo_takes_an_exchange_back_and_retry_answers_it_again(model: Path) -> None:
    chat, person = talk(model, "one", "two", "/undo", "/retry")
    assert [message.content for message in chat.messages if message.role == "user"] == ["one"]
    assert len(chat.messages) == 2
    _, person = talk(model, "/undo")
    assert "Nothing has been said yet" in person.seen


def test_a_report_carries_the_conversation(model: Path) -> None:
    chat, person = talk(model, "one", "/report", "wrong", "it lies", "two", "y")
    assert person.reports == [(chat.messages, "wrong", "it lies", "two", True)]
    assert "Reported as r1" in person.seen


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        (["/report"], "no answer to report yet"),
        (["one", "/report", "dull"], "that is none of them"),
        (["one", "/report", "wrong", "full", "", ""], "Not reported: the disk is full"),
        (["one", "/report", "^C", "/history"], "Not reported."),
        (["/dance"], "no command /dance"),
        (["the cat " * 100], "the model's context is 128"),
        (["^C", "one"], "/quit or Ctrl-D leaves"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_chat_goes_on(model: Path, lines: list[str], seen: str) -> None:
    _, person = talk(model, *lines)
    assert seen in person.seen


def test_a_conversation_that_does_not_fit_is_as_it_was(model: Path) -> None:
    chat, _ = talk(model, "one", "the cat " * 100)
    assert [message.role for message in chat.messages] == ["user", "assistant"]
