"""Pictures of the web page: light, dark, and as wide as a phone, for a person to look at.

    python benchmarks/app_pictures.py MODELS NAME OUT PICTURE...

Serves the folder MODELS, gives the model NAME the pictures, and writes PNGs of the whole page into OUT.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browser import PATIENCE, browser, served

VIEWS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
}


def whole(page, path):
    """All of a page that scrolls within itself: the window is made as high as what is in it."""
    high = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": high + 20})
    page.wait_for_timeout(1000)
    page.screenshot(path=path)
    print(path, flush=True)


def main(models, name, out, pictures):
    with served(models, os.environ) as address, browser() as chromium:
        for view, options in VIEWS.items():
            page = chromium.new_page(**options)
            page.set_default_timeout(1e3 * PATIENCE)
            page.goto(f"{address}/?model={name}")
            page.get_by_text("Pictures from").wait_for()
            page.screenshot(path=out / f"{name}-{view}-start.png")
            page.locator("input[type=file]").set_input_files(pictures)
            page.get_by_text("Download all probabilities").wait_for()
            page.wait_for_timeout(1500)
            whole(page, out / f"{name}-{view}.png")
            page.set_viewport_size(options["viewport"])
            page.get_by_role("tab", name="Report").click()
            page.wait_for_timeout(2500)
            whole(page, out / f"{name}-{view}-report.png")
            page.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
