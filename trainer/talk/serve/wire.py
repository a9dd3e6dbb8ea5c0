"""What goes over the wire on either side: messages that came in, checked, and pieces of answers that go out."""

import base64
import dataclasses
from collections.abc import Sequence
from typing import Any

from trainer.talk.conversation import Message
from trainer.talk.serve.answers import Piece
from trainer.talk.serve.errors import ApiError
from trainer.talk.serve.schema import ChatMessage


def messages_of(messages: Sequence[ChatMessage]) -> list[Message]:
    for message in messages:
        texts = [message.content] if isinstance(message.content, str) else [part.text for part in message.content or ()]
        for text in texts:
            checked(text)
    return [message.message() for message in messages]


def checked(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ApiError(
            400, f"a text holds half a character (a lone surrogate) at character {error.start + 1}."
        ) from None


def tool_of(piece: Piece) -> dict[str, Any]:
    assert piece.tool is not None
    use = piece.tool
    picture = "data:image/png;base64," + base64.b64encode(use.png).decode() if use.png else None
    sources = [dataclasses.asdict(source) for source in use.sources]
    return {
        "tool": use.call.tool,
        "input": use.call.input,
        "text": use.text,
        "error": use.error,
        "picture": picture,
        "sources": sources,
    }
