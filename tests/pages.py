"""What stands in an HTML page: the numbers it claims, the words beside them, and what it would fetch."""

import os
import re
import shutil
from html.parser import HTMLParser

import pytest

UNREAD = {"svg", "style", "code", "pre", "title"}  # drawn, or quoted as it is
FETCHES = {"src", "href", "srcset", "poster", "action", "xlink:href"}


class Page(HTMLParser):
    """A page, read once.

    Attributes:
        numbers: (key, value, what is shown) of each <data>.
        words: the text outside of <data> and of what is drawn or quoted.
        tags: (name, attributes) of each tag.
        fetched: what attributes name that does not stand in the page itself.
    """

    def __init__(self, text):
        super().__init__()
        self.numbers, self.words, self.tags, self.fetched = [], [], [], re.findall(r"@import|url\((?!#)[^)]*", text)
        self.inside, self.number = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.fetched += [it for name, it in attributes.items() if name in FETCHES and not it.startswith(("#", "data:"))]
        if tag in UNREAD:
            self.inside.append(tag)
        if tag == "data":
            self.number = (attributes.get("data-key"), float(attributes["value"]))

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()
        if tag == "data":
            self.number = None

    def handle_data(self, text):
        if self.number:
            self.numbers.append((*self.number, text))
        elif not self.inside:
            self.words.append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


VIEWS = ((390, "light"), (1280, "dark"))  # how wide, and in which colours


def opened(path):
    """What Chromium makes of a file: what it asked for beyond the file, what it complained of, and where it is too wide.

    Without Chromium the test is skipped, unless the environment has KERASTL_BROWSER=required.
    """
    program = shutil.which("chromium")
    if program is None and os.environ.get("KERASTL_BROWSER") != "required":
        pytest.skip("no chromium here; KERASTL_BROWSER=required makes this a failure")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        asked, wrong, wide = [], [], []
        for width, scheme in VIEWS:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: wrong.append(message.text))
            page.goto(path.as_uri())
            page.eval_on_selector_all("details", "all => all.forEach(it => { it.open = true })")
            wide += [width] * (page.evaluate("document.documentElement.scrollWidth") > width)
        browser.close()
    return [url for url in asked if url != path.as_uri() and not url.startswith("data:")], wrong, wide
