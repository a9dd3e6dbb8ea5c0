"""Label Studio's page in headless Chromium, used as a labeller does: for tests, and for the screenshots of the docs."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 90
"""Seconds that a page may take: it has 6 MB of scripts, and the machine may be busy."""

STEP = 15
"""Pixels that the mouse moves at once: the page takes 5 for a click, and no card is so low."""

DRAWN = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));"
"""A script that ends when the page has drawn, and told, what the mouse did before."""


def chromium(profile: Path) -> Any:
    """A browser, or None where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        return None
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in (
        "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --window-size=1200,1000 --force-device-scale-factor=1"
    ).split():
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


class Desk:
    """Where somebody labels."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser, self.url = browser, url

    def log_in(self, email: str, password: str) -> None:
        self.browser.delete_all_cookies()
        self.browser.get(f"{self.url}/user/login/")
        self.find("[name=email]").send_keys(email)
        self.find("[name=password]").send_keys(password)
        self.find("button[type=submit]").click()
        self.wait(lambda: "/login" not in self.browser.current_url)

    def open(self, project: int) -> None:
        """The next task of a project, its instructions (if they are shown) on top of it."""
        self.browser.get(f"{self.url}/projects/{project}/data?labeling=1")
        self.wait(lambda: self.all("button[aria-label*=ubmit]") and self.all(".page .controls"))

    def look(self) -> str:
        """The task's page as text; where it scrolls, too."""
        return str(self.find(".page").get_property("textContent"))

    def find(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.browser.find_elements(By.CSS_SELECTOR, selector))

    def close_instructions(self) -> None:
        self.find("body").send_keys(Keys.ESCAPE)
        self.wait(lambda: "Labeling Instructions" not in self.find("body").text)

    def press(self, key: str) -> None:
        """A hot-key; when this returns, the choice that has it is made."""
        self.find("body").send_keys(key)
        self.wait(
            lambda: key in [hint.text.strip("[]") for hint in self.all(".lsf-choice__item:has(input:checked) sup")]
        )

    def write(self, text: str) -> None:
        """Over whatever is in the box."""
        box = self.find(".controls textarea")
        box.click()
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(text)
        self.wait(lambda: box.get_property("value") == text)

    def drag(self, letter: str, steps: int) -> None:
        """Takes the card of an answer with the mouse, and drops it so many places below (above, if negative)."""
        before, card = self.cards(), self.find(f"[data-ranker-id='{letter}']")
        wanted = before.index(letter) + 1 + steps
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", card)
        self._mouse().move_to_element(card).click_and_hold().move_by_offset(0, STEP if steps > 0 else -STEP).perform()
        self.wait(lambda: "lifted" in self.announced())

        def there() -> bool:
            self.browser.execute_async_script(DRAWN)
            at = int(re.findall(r"position (\d)", self.announced())[-1])
            if at != wanted:
                self._mouse().move_by_offset(0, STEP if at < wanted else -STEP).perform()
            return at == wanted

        self.wait(there)
        self._mouse().release().perform()
        self.wait(lambda: self.cards() != before)  # it glides into its place first

    def _mouse(self) -> ActionChains:
        """It stays where it was, and what it holds, too."""
        return ActionChains(self.browser, duration=50)

    def move(self, letter: str, steps: int) -> None:
        """The same with the keyboard."""
        self.find(f"[data-ranker-id='{letter}']").send_keys(Keys.SPACE)
        for number in range(abs(steps)):
            wanted = self.cards().index(letter) + (number + 1) * (1 if steps > 0 else -1)
            self.find(f"[data-ranker-id='{letter}']").send_keys(Keys.ARROW_DOWN if steps > 0 else Keys.ARROW_UP)
            self.wait(lambda wanted=wanted: f"position {wanted + 1}" in self.announced())
        before = self.cards()
        self.find(f"[data-ranker-id='{letter}']").send_keys(Keys.SPACE)
        self.wait(lambda: self.cards() != before)

    def cards(self) -> list[str]:
        return [str(card.get_attribute("data-ranker-id")) for card in self.all("[data-ranker-id]")]

    def announced(self) -> str:
        """What a screen reader was told last."""
        return " ".join(str(each.get_property("textContent")) for each in self.all("[aria-live=assertive]"))

    def submit(self) -> None:
        self.find("button[aria-label*=ubmit]").click()

    def warning(self) -> str:
        """Label Studio's complaint about what is missing, once it is there."""
        self.wait(lambda: any(each.text for each in self.all(".ant-modal-confirm")))
        return " ".join(each.text for each in self.all(".ant-modal-confirm"))

    def errors(self) -> list[str]:
        """What went wrong in the page's scripts; what Label Studio itself does not find is no such thing."""
        log = self.browser.get_log("browser")
        return [each["message"] for each in log if each["level"] == "SEVERE" and each["source"] == "javascript"]

    def wait(self, ready: Callable[[], Any]) -> Any:
        """Until it is so; a page that is drawn anew meanwhile is looked at again."""
        waiting = WebDriverWait(self.browser, PATIENCE, 0.1, [NoSuchElementException, StaleElementReferenceException])
        return waiting.until(lambda _: ready())
