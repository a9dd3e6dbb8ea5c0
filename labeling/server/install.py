"""Label Studio in a virtual environment of its own: its pins (numpy, Django, OpenCV) fit nobody else's.

153 packages, 1 GB, some 5 minutes.
"""

from pathlib import Path

from labeling.environments import STAMP, Environment, InstallError, Say

__all__ = ["PINS", "STAMP", "VERSION", "InstallError", "environment", "install"]

VERSION = "1.23.2"
PINS = Path(__file__).with_name("label-studio.txt")
LABEL_STUDIO = Environment(
    name="Label Studio",
    version=VERSION,
    requirements=(f"label-studio=={VERSION}",),
    pins=PINS,
    program="label-studio",
    size="1 GB",
    time="about 5 minutes",
)


def environment() -> Path:
    """Where Label Studio's environment for this Python is, or would be."""
    return LABEL_STUDIO.folder


def install(say: Say) -> Path:
    """The path of the `label-studio` program, installed on first use. Raises InstallError."""
    return LABEL_STUDIO.install(say)
