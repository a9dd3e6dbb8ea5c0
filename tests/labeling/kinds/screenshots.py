"""Draws docs/images/label-KIND.png, each kind's page as labellers see it, and label-instructions.png.

    python -m tests.labeling.kinds.screenshots

starts a Label Studio server of its own (two minutes, most of them for its tables) and needs Chromium. The pictures are
1200 pixels wide, cut to what is shown, and have 64 colours.
"""

import io
import tempfile
import time
from pathlib import Path

from PIL import Image

from labeling.client import Client
from labeling.create import create
from labeling.folder import Folder
from labeling.server.login import read_login
from labeling.server.process import Server
from labeling.store.database import Database
from tests.labeling.conftest import free_port
from tests.labeling.kinds.browse import Desk, chromium
from tests.labeling.kinds.conftest import Asked
from tests.labeling.kinds.examples import ALL, POOR, ROWS

IMAGES = Path(__file__).parents[3] / "docs" / "images"
WIDTH, COLOURS = 1200, 64
"""64 colours bring a page of text from about 200 kB to 40, and nobody sees the difference."""


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(Path(scratch) / "labels")
        browser = chromium(Path(scratch) / "profile")
        if browser is None:
            raise SystemExit("no chromium or chromedriver here: install Debian's packages chromium and chromium-driver")
        try:
            with Server(folder, free_port()) as server, Database(f"sqlite:///{scratch}/store.sqlite") as database:
                login = read_login(server.folder.login_file)
                assert login
                desk = Desk(browser, server.url)
                desk.log_in(login.email, login.password)
                with Client(server.url, login.token) as client:
                    for kind in ALL:
                        draw(desk, client, database, kind)
        finally:
            browser.quit()


def draw(desk: Desk, client: Client, database: Database, kind: str) -> None:
    project = create(database, client, kind, reviews="comparisons" if kind == "review" else None)
    Asked(client, project, ROWS[kind], POOR if kind in ("demonstrations", "corrections") else None)
    desk.open(project.remote_id)
    if kind == "comparisons":
        desk.wait(lambda: "When they conflict." in desk.find("body").text)
        save(desk, "instructions", crop=False)
    client.update_project(project.remote_id, show_instruction=False)
    desk.open(project.remote_id)
    save(desk, kind)


def save(desk: Desk, name: str, crop: bool = True) -> None:
    """The page without the empty space below what it shows."""
    time.sleep(1)  # what fades in
    picture = Image.open(io.BytesIO(desk.browser.get_screenshot_as_png())).convert("RGB")
    picture = (
        picture.resize((WIDTH, round(picture.height * WIDTH / picture.width))) if picture.width != WIDTH else picture
    )
    if crop:
        ends = round(
            desk.browser.execute_script("return document.querySelector('.page').getBoundingClientRect().bottom")
        )
        bar = round(desk.find(".lsf-bottombar").size["height"])
        if ends < picture.height - bar:  # the buttons move up to what they belong to
            buttons = picture.crop((0, picture.height - bar, WIDTH, picture.height))
            picture = picture.crop((0, 0, WIDTH, ends + bar))
            picture.paste(buttons, (0, ends))
    path = IMAGES / f"label-{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
