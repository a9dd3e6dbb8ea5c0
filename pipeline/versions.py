"""What else a corpus's bytes depend on: the versions of the libraries and of Python, and our own."""

import functools
import importlib.metadata
import platform
import unicodedata

LIBRARIES = (
    "corpuscle", "apache-beam", "brotli", "courlan", "datasketch", "fasttext", "fastwarc", "google-re2", "justext",
    "lxml", "numpy", "pyarrow", "resiliparse", "scipy", "sentencepiece", "tinycss2", "tldextract", "trafilatura",
)  # fmt: skip


@functools.cache
def versions() -> dict[str, str]:
    """Names and versions. Unicode's tables decide what is a word, and Python brings them."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return found | {"python": platform.python_version(), "unicode": unicodedata.unidata_version}
