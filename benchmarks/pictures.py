"""Screenshots of pages, to be looked at: wide and on a phone, light and dark. Chromium draws them.

python benchmarks/pictures.py FOLDER report=runs/first/report.html other=http://localhost:8501
"""

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
QUIET = "--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --disable-background-networking".split()


def take(pages, folder, height=900):
    """Write FOLDER/NAME-WIDTH-SCHEME.png for each page.

    Args:
        pages: a dict from a name to a file or an address.
        folder: where the pictures go.
        height: of the window, in pixels; a picture shows the page to its end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        program = os.environ.get("KERASTL_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        for name, address in pages.items():
            for width in WIDTHS:
                for scheme in SCHEMES:
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                    page.goto(address if "://" in address else Path(address).resolve().as_uri())
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                    page.close()
        browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="+", metavar="NAME=PAGE")
    asked = parser.parse_args()
    take(dict(page.split("=", 1) for page in asked.pages), asked.folder)
