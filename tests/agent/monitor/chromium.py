"""A headless Chromium, driven by ChromeDriver over the W3C WebDriver protocol."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from attrs import frozen

PATIENCE = 60.0  # seconds; only a slow machine ever needs more than a few

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@frozen
class Chromium:
    """One window. Every method waits for the browser."""

    session: str

    def call(self, path: str, **parameters: object) -> Any:
        request = urllib.request.Request(
            f"{self.session}/{path}",
            json.dumps(parameters).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["value"]

    def close(self) -> None:
        request = urllib.request.Request(self.session, method="DELETE")
        urllib.request.urlopen(request, timeout=PATIENCE).close()

    def open(self, url: str) -> None:
        self.call("url", url=url)

    def run(self, script: str, *arguments: object) -> Any:
        """What the body of a function, run in the page, returns."""
        return self.call("execute/sync", script=script, args=arguments)

    def wait_for(self, expression: str) -> None:
        """Return once the expression is true in the page."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(f"return Boolean({expression})"):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.1)

    def resize(self, width: int, height: int) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, colours: str) -> None:
        """As a person who has chosen `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": colours}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def devtools(self, command: str, **parameters: object) -> None:
        self.call("goog/cdp/execute", cmd=command, params=parameters)

    def complaints(self) -> list[str]:
        """What the console has said since the last time: refusals of the policy, errors."""
        return [entry["message"] for entry in self.call("se/log", type="browser")]


@contextmanager
def open_chromium(profile: Path) -> Iterator[Chromium]:
    """A browser with an empty profile in that folder."""
    driver, browser = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or browser is None:
        pytest.fail("these tests need Debian's packages chromium and chromium-driver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL)
    service = Chromium(f"http://127.0.0.1:{port}")
    try:
        _wait_until_it_listens(service)
        options = {
            "binary": browser,
            "args": [*_ARGUMENTS, f"--user-data-dir={profile}"],
        }
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        created = service.call("session", capabilities={"alwaysMatch": capabilities})
        window = Chromium(f"{service.session}/session/{created['sessionId']}")
        try:
            yield window
        finally:
            window.close()
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_until_it_listens(service: Chromium) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{service.session}/status", timeout=PATIENCE):
                return
        except (URLError, RemoteDisconnected):
            assert time.monotonic() < deadline, "ChromeDriver does not listen"
            time.sleep(0.05)
