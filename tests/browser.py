"""A headless Chromium for tests: pages, clicks, keys, screenshots, and what a page complained about.

It speaks the DevTools protocol over two pipes, so it needs Chromium alone: no driver, no port, no package.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowUp": 38, "ArrowDown": 40, "Home": 36, "End": 35, "Enter": 13,
        " ": 32, "Tab": 9}
TYPED = {"Enter": "\r", " ": " "}                                   # keys that are also text
LIMIT = 60                                                          # seconds for one answer


def chromium() -> str:
    """Returns the path of Chromium's program. Without one, a test fails and is not skipped, because these
    tests run only on request.
    """
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("these tests need Chromium: apt-get install chromium", pytrace=False)
    return found


class Page:
    """One tab. problems: errors of the console and requests that left the folder, as text."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._rest, self._number = commands, answers, b"", 0
        self.session = ""
        self.problems: list[str] = []
        self._loaded = False

    def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        """The next answer or event; events are looked at as they pass."""
        end = time.monotonic() + LIMIT
        while b"\0" not in self._rest:
            assert time.monotonic() < end, "Chromium does not answer"
            data = os.read(self._answers, 1 << 20)
            assert data, "Chromium has ended"
            self._rest += data
        text, self._rest = self._rest.split(b"\0", 1)
        event: dict[str, Any] = json.loads(text)
        self._look_at(event.get("method", ""), event.get("params", {}))
        return event

    def _look_at(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(str(details.get("exception", {}).get("description", details["text"])))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(f"console {params['type']}: {[one.get('value') for one in params['args']]}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "about:")):
                self.problems.append(f"request: {url}")

    def open(self, path: Path, fragment: str = "") -> None:
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri() + fragment)
        while not self._loaded:
            self._next()

    def run(self, code: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        found = self.run(f"document.querySelector({json.dumps(selector)})?.textContent")
        assert found is not None, f"nothing is {selector}"
        return str(found)

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of the element."""
        x, y = self.run(f"""(() => {{ const one = document.querySelector({json.dumps(selector)});
            one.scrollIntoView({{block: "center", behavior: "instant"}});
            const box = one.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def focus(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")

    def press(self, key: str, times: int = 1) -> None:
        """A key, where the focus is."""
        for _ in range(times):
            for kind in ("keyDown" if key in TYPED else "rawKeyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                          windowsVirtualKeyCode=KEYS[key],
                          **({"text": TYPED[key]} if kind == "keyDown" else {}))

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def choose(self, selector: str, value: object) -> None:
        """Set a slider, a choice or a field, as its user does: with the events of a change."""
        self.run(f"""(() => {{ const one = document.querySelector({json.dumps(selector)});
            if (one.type === "checkbox") one.checked = {json.dumps(value)}; else one.value = {json.dumps(value)};
            one.dispatchEvent(new Event("input", {{bubbles: true}}));
            one.dispatchEvent(new Event("change", {{bubbles: true}})); }})()""")

    def size(self, width: int, height: int, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def scripts(self, on: bool) -> None:
        """Whether the next page may run JavaScript."""
        self.call("Emulation.setScriptExecutionDisabled", value=not on)

    def screenshot(self, path: Path, whole: bool = False) -> None:
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def labels(self) -> list[tuple[str, str]]:
        """(role, name) of everything that a screen reader finds."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""))
                for node in nodes if not node.get("ignored")]


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Yields a page of a headless Chromium. folder: for its profile. Root can start Chromium only without its
    sandbox. This is safe, since it shows only pages of this project.
    """
    to_browser, from_tests = os.pipe()
    to_tests, from_browser = os.pipe()

    def as_three_and_four() -> None:
        """The pipes get the numbers that Chromium reads from and writes to."""
        read, write = os.dup(to_browser), os.dup(from_browser)
        os.dup2(read, 3)
        os.dup2(write, 4)

    process = subprocess.Popen(
        [chromium(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
         "--no-first-run", "--disable-dev-shm-usage", "--disable-extensions",
         "--disable-background-networking", "--hide-scrollbars", "--disable-component-update",
         "--allow-file-access-from-files=false", f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
        preexec_fn=as_three_and_four)
    os.close(to_browser)
    os.close(from_browser)
    try:
        page = Page(from_tests, to_tests)
        target = page.call("Target.createTarget", url="about:blank")["targetId"]
        page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.size(1000, 800)
        yield page
    finally:
        os.close(from_tests)
        os.close(to_tests)
        process.terminate()
        process.wait(10)
