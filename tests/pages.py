"""A replay page opened from its file in headless Chromium, without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)
DRIVER = shutil.which("chromedriver")


class Page:
    """A replay page, opened from its file in a real browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, place: str = "") -> None:
        self.driver.get("about:blank")  # another fragment of the same file would not reload it
        self.driver.get(f"{path.as_uri()}{place}")
        self.wait("document.getElementById('screen').dataset.at !== undefined")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20, 0.02).until(lambda _: self.run(f"return {condition}"))

    def settled(self, at: int) -> None:
        """Wait until screen, prompt and reply all show decision `at`."""
        for part in ("screen", "saw", "said"):
            self.wait(f"document.getElementById('{part}').dataset.at === '{at}'")

    def painted(self, selector: str) -> None:
        """Wait until a canvas is painted; its screen may have to be unpacked first."""
        self.wait(
            f"""((canvas) => {{
                const probe = new OffscreenCanvas(1, 1).getContext("2d");
                probe.drawImage(canvas, 0, 0);
                return probe.getImageData(0, 0, 1, 1).data[3] === 255;
            }})(document.querySelector({json.dumps(selector)}))"""
        )

    def text(self, part: str) -> str:
        return self.run(
            "return document.getElementById(arguments[0]).textContent.toWellFormed()", part
        )

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.TAG_NAME, "body").send_keys(*keys)

    def boxes(self, selector: str) -> list[tuple[float, float, float, float]]:
        """(left, top, right, bottom) of elements, as far as their scrolling panels show them."""
        return [
            tuple(box)
            for box in self.run(
                """return [...document.querySelectorAll(arguments[0])].map((element) => {
                  let {left, top, right, bottom} = element.getBoundingClientRect();
                  for (let around = element.parentElement; around; around = around.parentElement) {
                    if (getComputedStyle(around).overflowY === "visible") continue;
                    const edge = around.getBoundingClientRect();
                    [top, bottom] = [Math.max(top, edge.top), Math.min(bottom, edge.bottom)];
                  }
                  return [left, top, right, bottom];
                })""",
                selector,
            )
        ]

    def pixels(self, selector: str) -> np.ndarray:
        """The pixels of a canvas, shape (height, width, 3)."""
        width, height, text = self.run(
            """const canvas = document.querySelector(arguments[0]);
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return [canvas.width, canvas.height,
                    Array.from(data, (v) => v.toString(16).padStart(2, "0")).join("")];""",
            selector,
        )
        return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(height, width, 4)[:, :, :3]

    @property
    def warnings(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    @property
    def requests(self) -> set[str]:
        """Addresses requested since the last call."""
        events = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        return {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Page]:
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "no-first-run",
        "window-size=1440,900",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield Page(driver)
    driver.quit()


@pytest.fixture
def window(browser):
    """A function that sets the size of the window, and the theme."""

    def resize(width: int, height: int, theme: str = "light") -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": theme}]},
        )

    yield resize
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
