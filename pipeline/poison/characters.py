"""The rules that look at characters one by one: what nobody sees (invisible.py), what looks like another letter
(homoglyphs.py)."""

from weakref import WeakKeyDictionary

from pipeline.filter.text import TextBatch
from pipeline.poison import homoglyphs, invisible
from pipeline.poison.finding import Findings

VERSION = 3

_SEEN: WeakKeyDictionary[TextBatch, Findings] = WeakKeyDictionary()


def find(texts: TextBatch) -> Findings:
    """The findings of all rules on characters; see the two modules.

    A batch is looked at once while it lives: what is encoded is looked for around the same findings.
    """
    found = _SEEN.get(texts)
    if found is None:
        found = invisible.find(texts)
        found.extend(homoglyphs.find(texts).rows)
        _SEEN[texts] = found
    return Findings(list(found.rows))
