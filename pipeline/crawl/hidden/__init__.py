"""Text in a page that a person would not see: found in one walk, taken out of what is extracted, kept as a signal.

Hidden text is how a page tells a machine what it tells nobody else (Greshake et al. 2023, arXiv 2302.12173). It is also
what menus, accordions and cookie layers are made of, so it is never a reason to drop a page.
"""

from pipeline.crawl.hidden.strip import COLUMN, SIGNALS, VERSION, Hidden, HiddenText, find_hidden, strip_hidden

__all__ = ["COLUMN", "SIGNALS", "VERSION", "Hidden", "HiddenText", "find_hidden", "strip_hidden"]
