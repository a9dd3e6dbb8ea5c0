"""Whether a file can be written where a person named one: asked before the work, not behind it."""

import errno
import os
import tempfile
from pathlib import Path

from pipeline.artifact import is_local


def check_file(path: str | Path) -> None:
    """Raises OSError, with the path and what is wrong with it, where no file could be written to it."""
    if not is_local(str(path)):
        return
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file", str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is a device or a pipe, which would be replaced by a file; name a file", str(path))
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"can't be written, since {folder} is a file", str(path))
    try:
        with tempfile.TemporaryFile(dir=folder):  # permissions are not the whole truth: /proc, a full disk
            pass
    except OSError as error:
        why = os.strerror(error.errno or errno.EACCES).lower()
        raise OSError(error.errno, f"can't be written, since {folder} takes no file ({why})", str(path)) from None
