import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from torch.nn.functional import cross_entropy

from labeling.store.database import Database
from labeling.store.reports import Comparison, Report, comparisons, reports
from pipeline.tokenize.encode import Tokenizer
from tests.trainer.talk.serve.conftest import Serve, Served, write_model
from trainer.checkpoint import checkpoint_id, load, save
from trainer.talk.conversation import Call, Message, Template, to_json

pytestmark = pytest.mark.slow

USED = [
    Message("assistant", "Let me see.", (Call("calculator", "12*34"), Call("calculator", "1+1"))),
    Message("tool", "408"),
    Message("tool", "2"),
    Message("assistant", "It is 408."),
]
ASKED = Message("assistant", "", (Call("weather", "Paris"),))
COUNTED = Message("assistant", "one two three four five " * 30)
TALKS = [[Message("user", "product"), *USED], [Message("user", "weather"), ASKED], [Message("user", "count"), COUNTED]]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows TALKS by heart, and never comes to the end of its counting: 200 steps, 4 s."""
    folder = write_model(tmp_path_factory.mktemp("taught"), 3, context=2048)
    found = load(folder)
    template = Template(Tokenizer(found.vocabulary.read_bytes()))
    rows = []
    for talk in TALKS:
        encoded = template.encode(talk)
        end = -1 if talk[-1] is COUNTED else None
        rows.append((torch.tensor(encoded.tokens[:end]), torch.tensor(encoded.trained[:end])))
    optimizer = torch.optim.AdamW(found.model.parameters(), lr=3e-3)
    for parameter in found.model.parameters():
        parameter.requires_grad_(True)
    for _ in range(200):
        optimizer.zero_grad()
        for tokens, trained in rows:
            logits = found.model(tokens[None, :-1])[0]
            cross_entropy(logits[trained[1:]], tokens[1:][trained[1:]]).backward()
        optimizer.step()
    weights = {name: weight.detach() for name, weight in found.model.state_dict().items()}
    about = replace(found.about, id=checkpoint_id(weights, found.model.config, found.about.vocabulary_sha256))
    learnt = tmp_path_factory.mktemp("learnt")
    save(learnt, about, weights, {}, folder / "vocabulary.model")
    return learnt


@pytest.fixture(scope="module")
def clever(taught: Path, other_model: Path, serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The model that knows TALKS, against one that knows nothing, with a calculator."""
    store = tmp_path_factory.mktemp("store") / "reports.db"
    with serve(taught, store, "--against", str(other_model), "--tools", "calculator", "--tokens", "1500") as served:
        yield served


class Page:
    """The page in a browser, used as a person would."""

    def __init__(self, browser: Any, server: Served) -> None:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import Select, WebDriverWait

        self.browser, self.by, self.select, self.waiting = browser, By, Select, WebDriverWait
        browser.get_log("browser")
        browser.get(server.url + "/")
        self.wait(lambda: self.find("#model").text)
        self.opened_in = self.find("#mode").get_property("value")
        self.settings()
        self.select(self.find("#mode")).select_by_value("chat")
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

    def settle(self, **values: str) -> None:
        """Settings by their fields' ids; `models` by its place."""
        self.settings()
        for field, value in values.items():
            if field == "models":
                self.select(self.find("#models")).select_by_index(int(value))
            else:
                self.type("#" + field.replace("_", "-"), value)
        self.settings()

    def start(self, text: str) -> None:
        self.type("#text", text)
        self.find("#send").click()

    def say(self, text: str) -> None:
        before = len(self.all(".actions"))
        self.start(text)
        self.wait(lambda: len(self.all(".actions")) > before)

    def stop_at(self, label: str) -> None:
        """Clicks what ends an answer while it is being written, and waits until it has ended."""
        self.wait(lambda: "one two" in self.browser.execute_script("return document.querySelector('main').textContent"))
        self.click(label)
        self.wait(self.find("#send").is_displayed)

    def texts(self) -> list[str]:
        """The answers' last texts, as the store keeps them: without U+0000, which random weights do write.

        Of 400 answers of random weights 5 call the calculator, and have a text before the call and one behind it.
        """
        last = [card.find_elements(self.by.CSS_SELECTOR, ".text")[-1] for card in self.all(".answer")]
        return [str(text.get_property("textContent")).replace("\0", "\ufffd") for text in last]

    def messages(self) -> list[dict[str, Any]]:
        """The conversation as the next question would send it."""
        return list(self.browser.execute_script("return messages"))

    def wait(self, ready: Callable[[], Any]) -> Any:
        return self.waiting(self.browser, 30).until(lambda _: ready())

    def no_errors(self) -> None:
        assert [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture
def page(browser: Any, server: Served) -> Page:
    return Page(browser, server)


@pytest.fixture
def clever_page(browser: Any, clever: Served) -> Page:
    page = Page(browser, clever)
    page.settle(max_tokens="1500", temperature="0")
    return page


def last_report(server: Served) -> Report:
    with Database(f"sqlite:///{server.store}") as database:
        return reports(database)[-1]


def last_comparison(server: Served) -> Comparison:
    with Database(f"sqlite:///{server.store}") as database:
        return comparisons(database)[-1]


def checkpoints(server: Served) -> list[str]:
    return [model["checkpoint"] for model in httpx.get(server.url + "/v1/models").json()["data"]]


def spelt(*messages: Message) -> list[dict[str, Any]]:
    return list(json.loads(json.dumps(to_json(messages))))


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
    (answer,) = page.texts()
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
    assert [found[0].messages[place]["content"] for place in (0, -1)] == ["the bird ran", answer]
    assert found[0].consent
    assert {key: found[0].sampling[key] for key in ("temperature", "top_p", "max_tokens")} == {
        "temperature": 0.7,
        "top_p": 0.95,
        "max_tokens": 12,
    }
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
    texts = page.texts()
    page.click("B is better")
    page.wait(lambda: page.all(".answer.chosen"))
    with Database(f"sqlite:///{server.store}") as database:
        found = [item for item in comparisons(database) if item.prompt[0]["content"] == "three four"]
    assert [(item.a.text, item.b.text, item.choice) for item in found] == [(*texts, "b")]
    asked, *_, answered = [message["content"].replace("\0", "\ufffd") for message in page.messages()]
    assert (asked, answered) == ("three four", texts[1])
    page.no_errors()


def test_who_has_not_agreed_is_told_that_nothing_is_trained_on_a_choice(page: Page) -> None:
    page.mode("pair")
    page.say("one two three")
    page.click("A is better")
    page.wait(
        lambda: "Thank you. It is kept, but nothing is trained on it: you have not agreed" in page.find("main").text
    )
    page.settings()
    page.find("#consent").click()
    page.settings()
    page.say("four five")
    page.click("A is better")
    page.wait(lambda: page.all(".actions")[-1].text.startswith("Thank you."))
    assert "not agreed" not in page.all(".actions")[-1].text
    page.no_errors()


def test_the_arena_names_the_models_after_the_choice(page: Page) -> None:
    page.mode("arena")
    page.say("the old house")
    assert [name.text for name in page.all(".answer .name")] == ["A", "B"]
    page.click("Both are good")
    page.wait(lambda: "pretrain-" in page.find(".answer .name").text)
    page.wait(lambda: "insufficient evidence" in page.find("#ratings").text)
    page.no_errors()


def test_a_thumb_is_about_whom_was_asked_and_not_what_the_settings_say_since(page: Page, server: Served) -> None:
    page.settle(system="Be brief.", models="1")
    page.say("the dog")
    page.settle(system="Be long.", models="0", max_tokens="3")
    page.click("Good")
    page.wait(lambda: "Thank you." in page.find(".actions").text)
    found = last_report(server)
    assert found.checkpoint_id == checkpoints(server)[1]
    assert found.messages[0] == {"role": "system", "content": "Be brief."}
    assert found.sampling["max_tokens"] == 12


def test_so_is_a_choice(page: Page, server: Served) -> None:
    page.mode("pair")
    page.settle(system="Be brief.", models="1")
    page.say("the house")
    page.settle(system="Be long.", models="0")
    page.click("Both are bad")
    page.wait(lambda: "Thank you." in page.find("main > .turn > .actions").text)
    found = last_comparison(server)
    assert {found.a.checkpoint_id, found.b.checkpoint_id} == {checkpoints(server)[1]}
    assert found.prompt == spelt(Message("system", "Be brief."), Message("user", "the house"))


def test_a_choice_after_a_later_question_does_not_take_the_conversation_back(page: Page) -> None:
    page.mode("pair")
    page.say("one")
    page.say("two")
    before = page.messages()
    page.click("B is better", 0)
    page.wait(lambda: page.all(".answer.chosen"))
    assert page.messages() == before
    assert [message["role"] for message in before] == ["user", "assistant"] * 2


def test_tool_calls_and_results_are_shown_reported_and_read_in_the_next_turn(clever_page: Page, clever: Served) -> None:
    page = clever_page
    page.say("product")
    shown = page.find(".answer").text
    places = [shown.index(part) for part in ("Let me see.", "calculator 12*34", "408", "calculator 1+1", "It is 408.")]
    assert places == sorted(places)
    page.click("Good")
    page.wait(lambda: "Thank you." in page.find(".actions").text)
    assert last_report(clever).messages == spelt(Message("user", "product"), *USED)
    assert page.messages() == spelt(Message("user", "product"), *USED)
    page.say("weather")  # the server takes such a conversation back
    page.no_errors()


def test_a_choice_between_answers_that_used_tools_keeps_their_turns(clever_page: Page, clever: Served) -> None:
    page = clever_page
    page.mode("pair")
    page.say("product")
    page.click("A is better")
    page.wait(lambda: page.all(".answer.chosen"))
    found = last_comparison(clever)
    assert [answer.text for answer in (found.a, found.b)] == ["It is 408."] * 2
    assert [answer.said for answer in (found.a, found.b)] == [spelt(*USED)] * 2
    assert page.messages() == spelt(Message("user", "product"), *USED)


def test_so_does_a_choice_in_the_arena(clever_page: Page, clever: Served) -> None:
    page = clever_page
    page.mode("arena")
    page.say("product")
    page.click("Both are good")
    page.wait(lambda: "Thank you." in page.find("main > .turn > .actions").text)
    found = last_comparison(clever)
    knowing = found.a if found.a.checkpoint_id == checkpoints(clever)[0] else found.b
    assert found.arena
    assert (knowing.text, knowing.said) == ("It is 408.", spelt(*USED))


def test_an_answer_that_was_cut_says_so_and_one_that_ended_does_not(clever_page: Page) -> None:
    page = clever_page
    page.settle(max_tokens="60")
    page.say("count")
    assert page.find(".answer .note").text == "Cut at the limit."
    page.click("New chat")
    page.say("product")
    assert page.all(".answer .note") == []


def test_a_new_chat_stays_new_though_an_answer_was_being_written(clever_page: Page) -> None:
    page = clever_page
    page.start("count")
    page.stop_at("New chat")
    assert page.messages() == []
    assert page.find("main").text == ""
    page.say("product")
    assert page.messages() == spelt(Message("user", "product"), *USED)
    page.no_errors()


def test_an_answer_that_was_stopped_stays_as_far_as_it_was_written(clever_page: Page) -> None:
    page = clever_page
    page.start("count")
    page.stop_at("Stop")
    (shown,) = page.texts()
    assert shown.startswith("one two three")
    assert page.messages() == spelt(Message("user", "count"), Message("assistant", shown))


@pytest.mark.parametrize("mode", ["pair", "arena"])
def test_of_two_answers_that_were_stopped_neither_is_better(clever_page: Page, mode: str) -> None:
    page = clever_page
    page.mode(mode)
    page.start("count")
    page.stop_at("Stop")
    assert "Which is better?" not in page.find("main").text
    assert "Stopped. The conversation goes on with A." in page.find("main").text
    assert [message["role"] for message in page.messages()] == ["user", "assistant"]
    page.no_errors()


def test_a_page_that_is_older_than_the_server_says_whose_answer_it_reports(
    taught: Path, other_model: Path, serve: Serve, browser: Any, tmp_path: Path
) -> None:
    with serve(taught, tmp_path / "reports.db") as served:
        page = Page(browser, served)
        page.settle(max_tokens="100", temperature="0")
        page.say("weather")
        (answered,) = checkpoints(served)
    port = int(served.url.rsplit(":", 1)[1])
    with serve(other_model, tmp_path / "reports.db", port=port) as served:
        assert checkpoints(served) != [answered]
        page.click("Bad")
        page.wait(lambda: "Thank you." in page.find(".actions").text)
        assert last_report(served).checkpoint_id == answered


def test_a_call_that_nobody_answers_is_shown_and_reported_and_the_conversation_goes_on(
    taught: Path, serve: Serve, browser: Any, tmp_path: Path
) -> None:
    with serve(taught, tmp_path / "reports.db") as served:
        page = Page(browser, served)
        page.settle(max_tokens="100", temperature="0")
        page.say("weather")
        assert page.find(".answer .note").text == "The model asks for weather, which is not served here."
        page.click("Bad")
        page.wait(lambda: "Thank you." in page.find(".actions").text)
        assert last_report(served).messages == spelt(Message("user", "weather"), ASKED)
        page.say("count")
        assert page.all("main .error") == []
        assert page.messages()[1] == {"role": "assistant", "content": ""}
        page.no_errors()


@pytest.mark.parametrize("way", ["Cancel", "Esc"])
def test_a_report_that_was_cancelled_is_gone(page: Page, way: str) -> None:
    page.say("the river")
    page.click("Report a problem")
    page.type("#description", "half a thought")
    page.select(page.find("#category")).select_by_value("format")
    if way == "Cancel":
        page.click("Cancel")
    else:
        page.find("#description").send_keys("\ue00c")
    page.wait(lambda: not page.find("#report").is_displayed())
    page.click("Report a problem")
    assert page.find("#description").get_attribute("value") == ""
    assert page.find("#category").get_attribute("value") == "wrong"
    page.click("Cancel")


def test_an_answer_that_cannot_be_had_says_why(page: Page) -> None:
    page.type("#text", "the cat " * 100)
    page.find("#send").click()
    page.wait(lambda: "the model's context is 128" in page.find("main").text)
    assert page.texts() == [""]


def test_on_a_narrow_screen_nothing_is_cut_off(page: Page) -> None:
    page.browser.set_window_size(500, 800)
    try:
        page.mode("pair")
        page.say("w" * 90)
        width = page.browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert width <= 0
    finally:
        page.browser.set_window_size(1000, 900)


def test_with_two_models_the_page_opens_as_an_arena_and_with_one_as_a_chat(
    page: Page, browser: Any, model: Path, serve: Serve, tmp_path: Path
) -> None:
    assert page.opened_in == "arena"
    with serve(model, tmp_path / "r.db") as one:
        assert Page(browser, one).opened_in == "chat"


def test_a_server_with_keys_asks_for_one_and_takes_it(browser: Any, model: Path, serve: Serve, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    with serve(model, tmp_path / "r.db", keys="k1") as served:
        browser.get(served.url + "/")
        wait = WebDriverWait(browser, 30)
        wait.until(lambda _: "asks for an API key" in browser.find_element(By.ID, "log").text)
        key = browser.find_element(By.ID, "key")
        key.send_keys("k1\t")
        wait.until(lambda _: browser.find_element(By.ID, "model").text)
        assert browser.find_element(By.ID, "log").text == ""
        browser.get_log("browser")  # the refusal stands in it
