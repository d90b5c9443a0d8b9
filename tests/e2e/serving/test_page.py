"""The page at `/` as a person uses it: decisions with reasons, errors in words, an entity, the traffic, a key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from worlds.browser import chromium
from worlds.deciding_server import deciding

from jobs import settings
from jobs.settings import Settings
from serving.web import api_keys

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path_factory.mktemp("page") / "home")})


@pytest.fixture(scope="module")
def address(home: Settings) -> Iterator[str]:
    with deciding(home) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, opened; whatever the browser complains of in it fails the test."""
    page, complaints = browser.new_page(viewport={"width": 1400, "height": 1000}), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    expect.set_options(timeout=60_000)
    page.goto(address)
    expect(page.get_by_label("customer_id", exact=True)).to_be_visible()
    yield page
    page.close()
    assert [text for text in complaints if "status of 4" not in text] == []


def decide(page: Page, amount: str) -> None:
    page.get_by_label("tx_amount").fill(amount)
    page.get_by_role("button", name="Decide").click()


def test_a_decision_is_made_with_its_reasons_and_features(page: Page) -> None:
    number = page.get_by_label("transaction_id").input_value()
    decide(page, "0.25")
    answer = page.locator("#answer")
    expect(answer).to_contain_text("approve")
    expect(answer).to_contain_text(re.compile(r"Score0\.\d+Model version3Answered in\d+\.?\d* m?s"))
    expect(answer).to_contain_text("review from 0.5")
    reasons = page.locator("#why")
    expect(reasons).to_contain_text(re.compile(r"tx_amount is 0\.25: this (raises|lowers) the score by 0\.\d+"))
    expect(reasons).to_contain_text("Amount of the payment, in the card's currency.")
    features = page.get_by_role("region", name="Features of this decision").last
    expect(features.get_by_role("row").filter(has_text="UTC hour of the payment")).to_contain_text("12")
    page.get_by_label("Show features whose name or meaning has").fill("weekend")
    expect(features.get_by_role("row")).to_have_count(2)  # one below the head
    expect(page.get_by_label("transaction_id")).not_to_have_value(number)  # the next event is another one


def test_an_error_is_told_in_words_and_as_text(page: Page) -> None:
    decide(page, "-5")
    expect(page.locator("#answer")).to_contain_text(
        "column tx_amount: expected a finite number from 0 to 1e+09, found -5"
    )
    page.get_by_label("terminal_id").fill("<img src=x onerror=alert(1)>")
    decide(page, "5")
    expect(page.locator("#answer")).to_contain_text("found '<img src=x onerror=alert(1)>'; correct it")
    assert page.locator("#answer img").count() == 0


def test_everything_can_be_done_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the form")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(page.get_by_label("tx_amount")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("0.5")
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Decide")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#why")).to_contain_text("tx_amount is 0.5")
    expect(page.get_by_role("button", name="Decide")).to_be_focused()


def test_a_long_number_keeps_its_digits(page: Page) -> None:
    page.get_by_label("customer_id", exact=True).fill("9007199254740993")  # no double holds it
    decide(page, "7")
    expect(page.locator("#answer")).to_contain_text("Decided at")
    page.get_by_label("Id", exact=True).fill("9007199254740993")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#entity")).to_contain_text("customer_id 9007199254740993")
    expect(page.locator("#entity")).to_contain_text("Known facts: events 1, labels 0")


def test_an_entity_shows_what_is_known_of_it(page: Page) -> None:
    decide(page, "11.5")
    expect(page.locator("#why")).to_contain_text("tx_amount is 11.5")
    page.get_by_label("Entity", exact=True).select_option("terminal_id")
    page.get_by_label("Id", exact=True).fill(page.get_by_label("terminal_id").first.input_value())
    page.get_by_role("button", name="Look up").click()
    entity = page.locator("#entity")
    expect(entity.get_by_role("region", name="Latest events").get_by_role("row").nth(1)).to_be_visible()
    feature = entity.get_by_role("row", name=re.compile(r"^terminal_tx_count_1d \d"))
    expect(feature).to_contain_text("Number of the terminal's transactions in the day up to this one")
    page.get_by_label("Id", exact=True).fill("987654")
    page.get_by_role("button", name="Look up").click()
    expect(entity).to_contain_text("expected one that is known, found none")


def test_the_traffic_is_shown_while_it_passes(page: Page) -> None:
    for amount in ("0.25", "3", "4"):
        decide(page, amount)
        expect(page.locator("#why")).to_contain_text(f"tx_amount is {amount}")
    expect(page.locator(".tile").filter(has_text="99 of 100 took at most")).to_contain_text(re.compile(r"\d m?s"))
    verdicts = page.locator("#verdicts").get_by_role("row")
    expect(verdicts.filter(has_text="fraud").filter(has_text="approve")).to_contain_text("version 3")
    expect(page.locator("#verdicts")).to_contain_text("In service: fraud: version 3, returns: version 5.")
    expect(page.locator("#rates rect").first).to_be_attached()


def test_another_use_case_has_a_form_of_its_own(page: Page) -> None:
    page.get_by_label("Use case").select_option("returns")
    expect(page.get_by_label("line_id")).to_have_value(re.compile(r"^try-\d+$"))
    for name, value in {"buyer_id": "12", "item_id": "lamp <b>", "quantity": "2", "unit_price": "7.5"}.items():
        page.get_by_label(name).first.fill(value)
    page.get_by_role("button", name="Decide").click()
    expect(page.locator("#answer")).to_contain_text("Model version5")
    expect(page.locator("#why")).to_contain_text(re.compile(r"(quantity is 2|amount is 15): this"))
    page.get_by_label("Entity", exact=True).select_option("item_id")
    page.get_by_label("Id", exact=True).fill("LAMP <B>")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#entity")).to_contain_text("item_id LAMP <B>")


def test_a_key_is_asked_for_and_sent(page: Page, home: Settings) -> None:
    key = api_keys.add(home, "person", ["decide", "read", "entities"], datetime.now(UTC))
    try:
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("expected a key")
        expect(page.get_by_label("Key, if this server asks for one")).to_be_focused()
        page.keyboard.type(key)
        page.keyboard.press("Tab")
        decide(page, "9.5")
        expect(page.locator("#why")).to_contain_text("tx_amount is 9.5")
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    finally:
        api_keys.place(home).unlink()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(browser: Browser, address: str, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(address)
    decide(page, "2.5")
    expect(page.locator("#why")).to_contain_text("tx_amount is 2.5")
    page.get_by_role("button", name="Look up").click()
    expect(page.locator("#entity")).to_contain_text("Known facts")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(ground) < 60) == (scheme == "dark")
    page.close()
