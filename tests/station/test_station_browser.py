"""The page in a real Chromium: live values, out of date when the server is gone, acknowledged with one thumb."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gallery import PretendedWard, serving

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM.exists() and DRIVER.exists()), reason="no /usr/bin/chromium with chromedriver"),
    pytest.mark.xdist_group("browser"),
]

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
DESKTOP, PHONE = (1440, 900), (390, 844)
WAIT_S = 20


@contextmanager
def chromium(profile: Path, size: tuple[int, int]) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.set_script_timeout(WAIT_S)
    try:
        yield driver
    finally:
        driver.quit()


def until(driver: Any, condition: Callable[[], object]) -> None:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, WAIT_S, 0.1, [StaleElementReferenceException]).until(lambda _: condition())


def text_of(driver: Any, selector: str) -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector))


def values(driver: Any) -> dict[str, list[str]]:
    """Bed → the numbers that its tile shows, in the order of the tiles."""
    script = """
        return [...document.querySelectorAll(".tile")].map((tile) => [
          tile.querySelector(".bed").textContent,
          [...tile.querySelectorAll(".value")].filter((v) => v.checkVisibility()).map((v) => v.textContent)])"""
    return dict(driver.execute_script(script))


def overflows(driver: Any) -> list[str]:
    """Texts that stick out of the page or are cut off where they should not be."""
    script = """
        const texts = ".value, .bed, .title, .number, .name, .silence, .flag, .notes, .since, button";
        return [document.documentElement, ...document.querySelectorAll(texts)]
          .filter((e) => e.checkVisibility?.() && (e.scrollWidth > e.clientWidth + 1) && e.clientWidth > 0
            && getComputedStyle(e).display !== "inline")
          .map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`)"""
    found: list[str] = driver.execute_script(script)
    return found


def press(driver: Any) -> None:
    """Press the thumb button once it takes presses."""
    button = driver.find_element("id", "thumb-button")
    until(driver, lambda: button.is_enabled() and "settling" not in button.get_attribute("class"))
    button.click()


def complaints(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


@pytest.fixture(scope="module")
def live() -> PretendedWard:
    return PretendedWard()


@pytest.fixture(scope="module")
def address(live: PretendedWard) -> Iterator[str]:
    with serving(live) as address:
        yield address


@pytest.fixture(scope="module")
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("desktop"), DESKTOP) as driver:
        yield driver


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("phone"), PHONE) as driver:
        yield driver


def open_ward(driver: Any, address: str) -> None:
    driver.get(address)
    until(driver, lambda: len(values(driver)) == 12)


def test_tiles_show_values_reasons_and_alarms_without_a_complaint(desktop: Any, address: str) -> None:
    complaints(desktop)
    open_ward(desktop, address)
    assert desktop.execute_script("return document.documentElement.dataset.current") == "yes"
    found = values(desktop)
    assert found["3-02"] == ["82", "118", "26"]
    assert found["3-05"] == []  # nothing current: words instead of numbers
    assert found["3-11"][0] == "–"
    page = text_of(desktop, "main")
    assert "finger out" in page
    assert "gateway silent" in page
    assert "SpO₂: out of radio range for" in page
    assert overflows(desktop) == []
    assert complaints(desktop) == []


def test_a_server_that_cannot_watch_says_so_above_everything(desktop: Any, address: str, live: PretendedWard) -> None:
    def banner(what: str = "trouble") -> str:
        return text_of(desktop, f"#{what}:not([hidden])").strip()

    open_ward(desktop, address)
    assert banner() == ""
    live.says = "The server takes nothing in. Watch the patients directly."
    until(desktop, lambda: banner() == "NOT MONITORED The server takes nothing in. Watch the patients directly.")
    assert overflows(desktop) == []
    live.says, live.warns = "", "The self-test fails."
    until(desktop, lambda: (banner(), banner("warning")) == ("", "ALARMS MAY NOT GET THROUGH The self-test fails."))
    assert overflows(desktop) == []
    live.warns = ""
    until(desktop, lambda: banner("warning") == "")


def test_ages_count_up_between_events_and_an_old_value_leaves_the_screen(desktop: Any, address: str) -> None:
    script = """
        const [module, done] = arguments;
        import(module).then(({ Tiles }) => {
          const vital = { vital: "spo2", label: "SpO₂", unit: "%", text: "97", why: "", last: "97", age_s: 28.5,
            doubt: "", priority: "" };
          const tile = { patient: "P-9", bed: "9", priority: "", marker: "", headline: "", technical: false,
            acknowledged: false, why: "", since: "03:00", silent_s: 28.5, battery: "", vitals: [vital] };
          const parent = document.createElement("section");
          const tiles = new Tiles(parent);
          const seen = [];
          tiles.show([tile], 30);
          for (const age of [0, 1, 2]) {
            tiles.tick(age);
            const text = (name) => parent.querySelector(name).textContent;
            seen.push([text(".value"), text(".age"), text(".silence strong"), text(".silence span")]);
          }
          done(JSON.stringify(seen));
        })"""
    desktop.get(address)
    assert json.loads(desktop.execute_async_script(script, "/static/tiles.js")) == [
        ["97", "28 s", "", ""],
        ["97", "29 s", "", ""],
        ["–", "", "no data", "since 03:00 · 30 s"],
    ]


def test_the_age_of_news_is_judged_by_the_monotonic_clock(desktop: Any, address: str) -> None:
    script = """
        const [module, done] = arguments;
        import(module).then(({ Currency }) => {
          const ages = {};
          const of = (...events) => {
            const currency = new Currency();
            for (const [boot, up, now, wall] of events) currency.heard(boot, up, now, wall ?? now);
            return currency;
          };
          ages.never = String(of().ageS(5, 5));
          ages.fresh = of(["a", 100, 10]).ageS(11, 11);
          ages.silent = of(["a", 100, 10]).ageS(17, 17);
          ages.delayed = of(["a", 100, 10], ["a", 101, 16]).ageS(16, 16); // made at 11, arrived at 16
          ages.restarted = of(["a", 9000, 10], ["b", 1, 11]).ageS(11, 11);
          ages.slept = of(["a", 100, 10, 5000]).ageS(10.5, 5600.5);
          ages.clockSet = of(["a", 100, 10, 5000], ["a", 101, 11, 9000]).ageS(11, 9000);
          const day = Array.from({ length: 86400 }, (_, s) => ["a", s * 0.9999, s]);
          ages.drifting = of(...day).ageS(86399, 86399);
          done(JSON.stringify(ages, (_, age) => (typeof age === "number" ? Math.round(age * 10) / 10 : age)));
        })"""
    desktop.get(address)
    assert json.loads(desktop.execute_async_script(script, "/static/link.js")) == {
        "never": "Infinity",
        "fresh": 1,
        "silent": 7,
        "delayed": 5,
        "restarted": 0,
        "slept": 600.5,
        "clockSet": 0,
        "drifting": 0,
    }


def test_a_patients_page_has_charts_and_reads_out_exact_values(desktop: Any, address: str) -> None:
    complaints(desktop)
    desktop.get(f"{address}patients/P-0002")
    until(desktop, lambda: len(desktop.find_elements("css selector", "svg.chart")) == 3 and values(desktop))
    assert values(desktop) == {"3-02": ["82", "118", "26"]}
    assert "limit" in text_of(desktop, ".history")
    from selenium.webdriver import ActionChains

    chart = desktop.find_element("css selector", "svg.chart")
    ActionChains(desktop).move_to_element_with_offset(chart, 200, 0).perform()
    until(desktop, lambda: "min ago" in text_of(desktop, ".readout"))
    assert overflows(desktop) == []
    assert complaints(desktop) == []


def test_the_tiles_can_be_sorted_by_bed_with_the_keyboard(desktop: Any, address: str) -> None:
    from selenium.webdriver.common.keys import Keys

    open_ward(desktop, address)
    assert list(values(desktop))[:2] == ["3-02", "3-04"]
    desktop.find_element("css selector", "summary").send_keys(Keys.ENTER)
    desktop.find_element("id", "by-bed").send_keys(Keys.SPACE)
    until(desktop, lambda: list(values(desktop))[:3] == ["3-01", "3-02", "3-03"])
    desktop.find_element("id", "by-bed").send_keys(Keys.SPACE)


def test_the_thumb_button_acknowledges_the_worst_alarm(phone: Any, address: str, live: PretendedWard) -> None:
    complaints(phone)
    open_ward(phone, address)
    phone.execute_script("localStorage.setItem('initials', 'AB')")
    button = phone.find_element("id", "thumb-button")
    assert button.rect["height"] >= 60
    assert button.rect["y"] + button.rect["height"] > PHONE[1] - 40
    assert "3-04 PR low 38 /min" in text_of(phone, "#thumb-what")
    press(phone)
    until(phone, lambda: "3-02" in text_of(phone, "#thumb-what"))  # it moves on to the next
    until(phone, lambda: "✓ acknowledged by AB" in text_of(phone, "#alarms"))
    assert live.acknowledged == [("a-0401", "AB")]
    assert overflows(phone) == []
    assert complaints(phone) == []


def test_a_press_right_after_the_list_moved_is_not_taken(phone: Any, address: str, live: PretendedWard) -> None:
    open_ward(phone, address)
    before = list(live.acknowledged)
    phone.execute_script("""
        const button = document.getElementById("thumb-button");
        new MutationObserver((_, observer) => { observer.disconnect(); button.click(); })
          .observe(document.getElementById("alarms"), { childList: true })""")
    worst = text_of(phone, "#thumb-what")
    live.end("a-0501")
    until(phone, lambda: "Look, and press again" in text_of(phone, "#thumb-failed"))
    assert text_of(phone, "#thumb-what") == worst
    assert live.acknowledged == before


def test_a_refused_acknowledgement_says_so_and_stays_open(
    phone: Any, address: str, live: PretendedWard, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vitals.errors import RetryableError

    def fails(*_: object) -> None:
        raise RetryableError("the disk is full")

    open_ward(phone, address)
    worst = text_of(phone, "#thumb-what")
    monkeypatch.setattr(live, "acknowledge", fails)
    press(phone)
    until(phone, lambda: text_of(phone, "#thumb-failed") == "NOT acknowledged: the disk is full.")
    assert text_of(phone, "#thumb-what") == worst


def test_when_the_server_is_gone_nothing_looks_current(phone: Any) -> None:
    with serving(PretendedWard()) as address:
        open_ward(phone, address)
    until(phone, lambda: phone.execute_script("return document.documentElement.dataset.current") == "no")
    assert text_of(phone, "#lost-title").startswith("NOT CURRENT since ")
    assert phone.find_element("id", "lost").is_displayed()
    assert not phone.find_element("id", "thumb-button").is_enabled()
    looks = phone.execute_script("""
        const value = getComputedStyle(document.querySelector(".vital .value"));
        const tiles = getComputedStyle(document.querySelector(".tiles"));
        return [value.textDecorationLine, Number(value.opacity), tiles.filter, document.getAnimations().length]""")
    assert looks == ["line-through", 0.5, "grayscale(1)", 0]
