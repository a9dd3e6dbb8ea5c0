"""What a command may write over: what it wrote there before, and nothing that is somebody's."""

from collections.abc import Iterable
from pathlib import Path

import typer

PAGE = "<!doctype html>"


def check_own(path: Path, begins: str, what: str) -> None:
    """Refuses a file that is there and does not begin as what is written to it, such as a loop's own settings.

    Makes the folder that it is to be in. Raises BadParameter.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # such as a file in its place
        raise typer.BadParameter(f"{path.parent} can't be made ({error.strerror}); name a file in a folder.") from None
    if not path.exists():
        return
    if not path.is_file():  # what took the place of a device would be a file
        raise typer.BadParameter(f"{path} is {'a folder' if path.is_dir() else 'no ordinary file'}; name a file.")
    with path.open("rb") as file:
        start = file.read(len(begins.encode()))
    if start and start.lower() != begins.encode().lower():
        raise typer.BadParameter(f"{path} is there, and is no {what}; give another name.")


def check_own_folder(folder: Path, names: Iterable[str], index: str, begins: str, what: str) -> None:
    """Refuses a folder that has files of these names, and no `index` that begins so and says that all are ours.

    Raises BadParameter.
    """
    check_own(folder / index, begins, f"part of an {what}")
    if not (folder / index).exists():
        for name in names:
            if (folder / name).exists():
                raise typer.BadParameter(
                    f"{folder / name} is there, and is of no {what}: {index} is missing; name another folder."
                )
