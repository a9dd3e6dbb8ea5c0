from collections.abc import Callable
from typing import Any

import pytest

from labeling.store.database import Database
from labeling.store.reports import comparisons, reports
from tests.trainer.serve.conftest import Served

pytestmark = pytest.mark.slow


class Page:
    """The page in a browser, used as a person would."""

    def __init__(self, browser: Any, server: Served) -> None:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import Select, WebDriverWait

        self.browser, self.by, self.select, self.waiting = browser, By, Select, WebDriverWait
        browser.get_log("browser")
        browser.get(server.url + "/")
        self.wait(lambda: self.find("#model").text)
        self.settings()
        self.type("#max-tokens", "12")
        self.settings()

    def find(self, selector: str) -> Any:
        return self.browser.find_element(self.by.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.browser.find_elements(self.by.CSS_SELECTOR, selector))

    def click(self, label: str, place: int = -1) -> None:
        self.browser.find_elements(self.by.XPATH, f"//button[text()='{label}']")[place].click()

    def type(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def settings(self) -> None:
        self.find("#show-settings").click()

    def mode(self, mode: str) -> None:
        self.settings()
        self.select(self.find("#mode")).select_by_value(mode)
        self.settings()

    def say(self, text: str) -> None:
        before = len(self.all(".actions"))
        self.type("#text", text)
        self.find("#send").click()
        self.wait(lambda: len(self.all(".actions")) > before)

    def wait(self, ready: Callable[[], Any]) -> Any:
        return self.waiting(self.browser, 30).until(lambda _: ready())

    def no_errors(self) -> None:
        assert [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture
def page(browser: Any, server: Served) -> Page:
    return Page(browser, server)


def test_a_message_is_answered_and_what_looks_like_html_is_text(page: Page) -> None:
    page.say("<img src=x onerror=alert(1)> <b>hi</b>")
    assert page.find(".user").text == "<img src=x onerror=alert(1)> <b>hi</b>"
    assert page.all("main img, main b") == []
    assert len(page.all(".answer")) == 1
    page.no_errors()


def test_regenerate_puts_another_answer_in_the_place_of_the_last(page: Page) -> None:
    page.say("the cat")
    first = page.find(".answer .text").text
    page.click("Regenerate")
    page.wait(lambda: page.all(".actions") and page.find(".answer .text").text != first)
    assert len(page.all(".answer")) == 1
    page.no_errors()


def test_a_report_reaches_the_store_with_the_conversation_and_the_wish(page: Page, server: Served) -> None:
    page.say("the bird ran")
    answer = page.browser.execute_script("return document.querySelector('.answer .text').textContent")
    page.click("Report a problem")
    page.select(page.find("#category")).select_by_value("repetition")
    page.type("#wished", "It flew.")
    page.find("#report-consent").click()
    page.find("#report-send").click()
    page.wait(lambda: "Reported. Thank you." in page.find(".actions").text)
    with Database(f"sqlite:///{server.store}") as database:
        found = [item for item in reports(database) if item.wished_answer == "It flew."]
    assert len(found) == 1
    assert found[0].category == "repetition"
    assert [message["content"] for message in found[0].messages] == ["the bird ran", answer]
    assert found[0].consent
    assert found[0].sampling["max_tokens"] == 12
    page.no_errors()


def test_a_thumb_is_a_rating(page: Page, server: Served) -> None:
    page.say("one two")
    page.click("Bad")
    page.wait(lambda: "Thank you." in page.find(".actions").text)
    with Database(f"sqlite:///{server.store}") as database:
        assert [item.rating for item in reports(database) if item.messages[0]["content"] == "one two"] == [-1]


def test_the_better_of_two_answers_is_stored_and_the_talk_goes_on_with_it(page: Page, server: Served) -> None:
    page.mode("pair")
    page.say("three four")
    texts = [page.browser.execute_script("return arguments[0].textContent", text) for text in page.all(".answer .text")]
    page.click("B is better")
    page.wait(lambda: page.all(".answer.chosen"))
    with Database(f"sqlite:///{server.store}") as database:
        found = [item for item in comparisons(database) if item.prompt[0]["content"] == "three four"]
    assert [(item.a.text, item.b.text, item.choice) for item in found] == [(*texts, "b")]
    said = page.browser.execute_script("return messages.map((message) => message.content)")
    assert said == ["three four", texts[1]]
    page.no_errors()


def test_the_arena_names_the_models_after_the_choice(page: Page) -> None:
    page.mode("arena")
    page.say("the old house")
    assert [name.text for name in page.all(".answer .name")] == ["A", "B"]
    page.click("Both are good")
    page.wait(lambda: "pretrain-" in page.find(".answer .name").text)
    page.wait(lambda: "insufficient evidence" in page.find("#ratings").text)
    page.no_errors()


def test_an_answer_that_cannot_be_had_says_why(page: Page) -> None:
    page.type("#text", "the cat " * 100)
    page.find("#send").click()
    page.wait(lambda: "the model's context is 128" in page.find("main").text)


def test_on_a_narrow_screen_nothing_is_cut_off(page: Page) -> None:
    page.browser.set_window_size(500, 800)
    try:
        page.mode("pair")
        page.say("w" * 90)
        width = page.browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert width <= 0
    finally:
        page.browser.set_window_size(1000, 900)
