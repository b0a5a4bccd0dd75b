"""Pages hold everything themselves; figures take the page's colours; numbers say what they are."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from kerastl.evaluate.page import COLOURS, FORMS, INK, figure, number, picture, render


def a_curve(drawn):
    axes = drawn.subplots()
    axes.plot([0, 1], [0, 1], label="$cat$ <&")
    axes.plot([0, 1], [1, 0])
    axes.set_title("both", weight="bold")
    axes.legend()


def test_a_figure_is_one_svg_in_the_colours_of_the_page():
    svg = figure(a_curve, 'up & "down"')
    tree = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert tree.get("aria-label") == 'up & "down"' and tree.get("role") == "img"
    assert tree.get("width") is None and tree.get("viewBox") == "0 0 331.2 201.6"
    assert "stroke: var(--blue)" in svg and "stroke: var(--vermilion)" in svg and "fill: currentColor" in svg
    assert not re.search("#[0-9a-f]{6}(?![0-9a-f])", svg), "no colour but the page's"
    assert INK not in svg and "DejaVu" not in svg and "font-weight: 700" in svg
    assert "$cat$ <&" in {text.text for text in tree.iter("text")}, "a class name is no formula"


def test_figures_are_the_same_each_time_and_their_ids_are_their_own():
    one, again, other = figure(a_curve, "one"), figure(a_curve, "one"), figure(a_curve, "other")
    assert one == again
    ids = [set(re.findall(' id="([^"]*)"', svg)) for svg in (one, other)]
    assert ids[0] and not ids[0] & ids[1]
    assert ids[0] == set(re.findall(r"#([\w-]+)", one)), "only those that are referred to"


@pytest.mark.parametrize(("size", "side", "mime", "shown"), [
    ((32, 32), None, "png", (32, 32)),
    ((300, 200), None, "jpeg", (300, 200)),
    ((300, 200), 90, "png", (90, 60)),
])  # fmt: skip
def test_a_picture(size, side, mime, shown):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    markup = picture(pixels, 'a <cat> and "dog"', side)
    assert 'alt="a &lt;cat&gt; and &#34;dog&#34;"' in markup
    kind, data = re.search('src="data:image/(.*?);base64,(.*?)"', markup).groups()
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == mime and image.size == shown
    if mime == "png" and not side:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize(("value", "form", "shown"), [
    (0.90627, "percent", "90.6%"), (0.95, "percent0", "95%"),
    (12345, "count", "12,345"), (1.23456, "decimals", "1.235"), (3e-7, "tiny", "3.0e-07"),
    (0, "tiny", "0"), (1e-4, "rate", "0.0001"), (4.21, "seconds", "4.2 s"), (59.7, "seconds", "1 min 0 s"),
    (75, "seconds", "1 min 15 s"), (7260, "seconds", "2 h 1 min"), (1.5e9, "bytes", "1,500 MB"), (1.26, "megabytes", "1.3 MB"),
    (2**31, "plain", "2147483648"), (8_599_446, "millions", "8.6 M"), (1234, "millions", "1,234"),
    (12.345, "milliseconds", "12.3 ms"), (0.5, "short", "0.50"),
])  # fmt: skip
def test_a_number_is_rounded_where_it_is_read_and_whole_where_it_is_kept(value, form, shown):
    markup = number(value, form, "test.a")
    found = re.fullmatch('<data value="(.*)" data-key="test.a">(.*)</data>', markup)
    assert float(found[1]) == value and found[2] == shown and form in FORMS
    assert number(None, form) == "-"


def test_a_page_is_written_whole_and_misses_nothing(tmp_path):
    with pytest.raises(UndefinedError, match="title"):
        render("base.html", tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
    render("base.html", tmp_path / "page.html", title="<b>")
    page = (tmp_path / "page.html").read_text()
    assert "<h1>&lt;b&gt;</h1>" in page and "prefers-color-scheme: dark" in page and "@media print" in page
    assert all(f"--{name}: {colour}" in page for name, pair in COLOURS.items() for colour in pair)
