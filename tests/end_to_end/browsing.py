"""Somebody with a browser: a headless Chromium, and what they do and see there.

Whoever leaves fails on an error in the browser's console, on what the Content-Security-Policy
forbids, and on a request to anywhere but the server.
"""

import re
import time
from contextlib import contextmanager
from pathlib import Path

from .programs import HOST, PATIENCE, require, require_module

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: What would run if markup did; and what must not be asked for.
MARKUP = (
    '<img src=x onerror="window.hacked=1">',
    "<script>window.hacked=1</script>",
    '<svg/onload="window.hacked=1">',
    '"><iframe src="javascript:parent.hacked=1">',
    '<a href="https://outside.example/" style="color:red">click</a>&lt;b&gt;',
    "</bdi></div><style>*{display:none}</style>",
)


@contextmanager
def browser():
    """A browser; skips where there is none."""
    path = require("chromium")
    require_module("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Person:
    """Somebody at the page.

    Args:
        context: a context of Playwright.
        port: the server's.
        waits: whether to wait until the page is connected.
    """

    def __init__(self, context, port, waits=True):
        self.context = context
        self.host = f"{HOST}:{port}"
        self.faults = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("request", self._requested)
        self.page.on("console", self._logged)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) =>"
            " console.error('forbidden: ' + event.violatedDirective + event.blockedURI))"
        )
        self.page.goto(f"http://{self.host}/")
        if waits:
            self.sees("#status", "connected")

    def _requested(self, request):
        ours = (f"http://{self.host}/", f"blob:http://{self.host}/", "data:")
        if not request.url.startswith(ours):
            self.faults.append(f"asked for {request.url}")

    def _logged(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.page.close()
        assert not self.faults

    def forgive(self, pattern):
        """Faults that are to be expected."""
        self.faults = [each for each in self.faults if not re.search(pattern, each)]

    # What is done.

    def say(self, line):
        self.page.fill("#line", line)
        self.page.press("#line", "Enter")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def run(self, expression):
        return self.page.evaluate(expression)

    def find(self, selector):
        return self.page.locator(selector)

    def saved(self):
        """The text of the log, downloaded."""
        with self.page.expect_download() as download:
            self.page.click("#save")
        self.name = download.value.suggested_filename
        return Path(download.value.path()).read_bytes().decode()

    # What is seen; each waits for it.

    def sees(self, selector, text):
        from playwright.sync_api import expect

        expect(self.find(selector)).to_have_text(text, timeout=PATIENCE * 1000)

    def last(self, kind, text):
        """The last row is this."""
        self.sees(f".row:last-child.{kind} bdi", text)

    def until(self, expression):
        """Something becomes true; by asking, as the page's policy forbids `eval` to Playwright."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.02)

    @property
    def focus(self):
        return self.run("document.activeElement.id")

    @property
    def line(self):
        return self.find("#line").input_value()
