"""Bidirectional controls of one paragraph: which are unpaired, and which show letters in another order.

Boucher & Anderson 2021 ("Trojan Source"); pairing as in Unicode's annex 9, BD9 to BD11.
"""

from bisect import bisect
from unicodedata import bidirectional

EMBEDDINGS, OVERRIDES, ISOLATES = "\u202a\u202b", "\u202d\u202e", "\u2066\u2067\u2068"
POP_EMBEDDING, POP_ISOLATE, RIGHT_TO_LEFT_OVERRIDE = "\u202c", "\u2069", "\u202e"


def unsound(controls: list[int], joined: str) -> list[int]:
    """Of one paragraph's controls those that are unpaired or override (Unicode annex 9, BD9 to BD11)."""
    suspects, stack = [], []
    against = {control: _against(control, controls, joined) for control in OVERRIDES}
    for position in controls:
        control = joined[position]
        if control in EMBEDDINGS or control in OVERRIDES or control in ISOLATES:
            stack.append(position)
        elif control == POP_EMBEDDING:
            if stack and joined[stack[-1]] not in ISOLATES:
                opener = stack.pop()
                turned = against.get(joined[opener], [])
                at = bisect(turned, opener)
                suspects += [opener, position] if at < len(turned) and turned[at] < position else []
            else:
                suspects.append(position)
        else:
            while stack and joined[stack[-1]] not in ISOLATES:
                suspects.append(stack.pop())
            if stack:
                stack.pop()
            else:
                suspects.append(position)
    return suspects + stack


def _against(override: str, controls: list[int], joined: str) -> list[int]:
    """Where letters and digits stand that an override shows against their own direction; a phone number has none.

    They are looked for once a paragraph, from the first such override to the last control.
    """
    first = next((position for position in controls if joined[position] == override), None)
    if first is None:
        return []
    classes = ("L", "EN") if override == RIGHT_TO_LEFT_OVERRIDE else ("R", "AL")
    return [place for place in range(first, controls[-1]) if bidirectional(joined[place]) in classes]
