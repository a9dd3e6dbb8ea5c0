"""Which conversations a canary answers: a share of them, drawn by how each begins, so that one stays where it is.

No cookie and no memory: the messages up to the first of the user are sent again with every turn. Feature flags are
given out in the same way, by a hash of who asks (as in Tang et al. 2010, "Overlapping experiment infrastructure").
"""

import hashlib
import json
from collections.abc import Iterable

BITS = 52
"""Of the hash, as many as a float holds exactly."""


def opening(messages: Iterable[tuple[str, str]]) -> str:
    """What stays the same through a conversation: (role, text) up to the first message of the user."""
    said = []
    for role, text in messages:
        said.append([role, text])
        if role == "user":
            break
    return json.dumps(said)


def falls(opening: str, checkpoint: str, share: float) -> bool:
    """Whether the canary of this id answers the conversation. Each canary draws anew, or one opening would get all."""
    drawn = int.from_bytes(hashlib.sha256(f"{checkpoint} {opening}".encode()).digest()[:8], "big") >> (64 - BITS)
    return drawn < share * 2**BITS
