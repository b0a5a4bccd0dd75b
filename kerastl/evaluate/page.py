"""Pages that people open: one file each, everything inside, light and dark, from Jinja2 templates and matplotlib figures."""

import base64
import io
import re
import warnings
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from kerastl.evaluate.drawing import Figure, Text, matplotlib, style
from kerastl.files import write_text
from kerastl.text import printable

PAGES = Path(__file__).parent / "pages"

# Okabe and Ito's colours, which the colour-blind tell apart: on light, and lighter on dark. Figures are drawn in the first;
# in a page each is a CSS variable of its name.
COLOURS = {
    "blue": ("#0072b2", "#5aaeea"),
    "vermilion": ("#d55e00", "#ff8c4f"),
    "green": ("#009e73", "#3fcfa5"),
    "purple": ("#cc79a7", "#e5a5c8"),
    "orange": ("#e69f00", "#f7bd4a"),
    "sky": ("#56b4e9", "#a2d8f7"),
    "muted": ("#5f6773", "#98a1ad"),
    "line": ("#dcdfe3", "#343a43"),
}
DRAWN = {name: light for name, (light, _) in COLOURS.items()}
SERIES = tuple(DRAWN[name] for name in ("blue", "vermilion", "green", "purple", "orange", "sky"))
INK = "#010203"  # drawn in this, shown in the colour of the text around

STYLE = {
    "svg.fonttype": "none",
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor"), INK),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), DRAWN["muted"]),
    **dict.fromkeys(("xtick.color", "ytick.color", "axes.edgecolor", "grid.color"), DRAWN["line"]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=SERIES),
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
}
WIDTH = 4.6  # inches of 72: as wide as a telephone, so that ten points stay ten pixels there

# How numbers are shown; what they are stands in the page as well.
FORMS = {
    "percent": lambda value: f"{100 * value:.1f}%",
    "percent0": lambda value: f"{100 * value:.0f}%",
    "count": lambda value: f"{value:,.0f}",
    "decimals": lambda value: f"{value:.3f}",
    "short": lambda value: f"{value:.2f}",
    "tiny": lambda value: "0" if value == 0 else f"{value:.1e}",
    "rate": lambda value: f"{value:g}",
    "seconds": lambda value: _duration(value),
    "plain": str,
    "millions": lambda value: f"{value / 1e6:.3g} M" if value >= 1e5 else f"{value:,}",
    "bytes": lambda value: f"{value / 1e6:,.0f} MB",
    "megabytes": lambda value: f"{value:.1f} MB",
    "points": lambda value: f"{100 * value:.2f}%",
    "milliseconds": lambda value: f"{value:.3g} ms",
}
MIME = {"PNG": "image/png", "JPEG": "image/jpeg"}
LARGE = 96  # pixels: a photo of more is kept as JPEG


def render(template, path, **values):
    """Write a page, whole or not at all.

    Args:
        template: name of a file in `pages`; it extends base.html.
        path: of the HTML file.
        **values: what the template needs. Texts are escaped; a name that is missing is an error.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "page.html"
        >>> render("base.html", path, title="<cats>")
        >>> "<title>&lt;cats&gt;</title>" in path.read_text()
        True
    """
    pages = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = pages.get_template(template).render(number=number, colours=COLOURS, **values)
    write_text(path, printable(text, lines=True) + "\n")  # names may hold what acts, hides or reorders letters


def number(value, form="decimals", key=None):
    """A number as it is read, which says what it is: `<data value="0.9063" data-key="test.accuracy">90.6%</data>`.

    Args:
        value: the number, or None, which is shown as a dash.
        form: a name in `FORMS`.
        key: where it stands in the JSON file beside the page, as test.per_class.0.recall.

    Returns:
        Markup.

    Example:
        >>> print(number(0.9063, "percent", "test.accuracy"))
        <data value="0.9063" data-key="test.accuracy">90.6%</data>
    """
    if value is None:
        return Markup("-")
    named = Markup(' data-key="{}"').format(key) if key else ""
    return Markup('<data value="{!r}"{}>{}</data>').format(value, named, FORMS[form](value))


def figure(draw, alt, height=2.8, width=WIDTH):
    """A matplotlib figure as inline SVG: text in the page's font, colours of the page, the same bytes each time.

    Args:
        draw: a function of a `matplotlib.figure.Figure`, called with the page's style in force. It draws in the colours of
            `DRAWN`, which follow the page into the dark; what it draws in none is in the colour of the text.
        alt: what the figure shows, for those who cannot see it.
        height: in inches of 72 pixels.
        width: likewise. Wider ones belong into a box that scrolls.

    Returns:
        Markup: one `<svg>`.

    Example:
        >>> svg = figure(lambda it: it.subplots().plot([1, 2], color=DRAWN["blue"]), "a line that rises")
        >>> "stroke: var(--blue)" in svg, 'aria-label="a line that rises"' in svg
        (True, True)
    """
    text = io.StringIO()
    with style(**STYLE, **{"svg.hashsalt": alt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the browser has the letters that this font lacks
        drawn = Figure(figsize=(width, height), layout="constrained")
        draw(drawn)
        for it in drawn.findobj(Text):
            it.set_text(printable(it.get_text(), lines=True))
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawn.savefig(text, format="svg", transparent=True, metadata=nothing)
    return _inline(text.getvalue(), alt)


def picture(pixels, alt, side=None):
    """A photo as it is, inside the page.

    Args:
        pixels: uint8 array of shape (height, width, 3).
        alt: what it shows, for those who cannot see it.
        side: pixels that its longer side has at most; none: as it is.

    Returns:
        Markup: one `<img>`, PNG where it is small, JPEG where it is large.

    Example:
        >>> picture(np.zeros((8, 8, 3), np.uint8), "black")[:32]
        Markup('<img src="data:image/png;base64,')
    """
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if side:
        image.thumbnail((side, side))
    kind = "PNG" if max(image.size) <= LARGE else "JPEG"
    written = io.BytesIO()
    image.save(written, kind, **({"optimize": True} if kind == "PNG" else {"quality": 85}))
    source = f"data:{MIME[kind]};base64,{base64.b64encode(written.getvalue()).decode()}"
    small = Markup(' class="pixels"') if kind == "PNG" else ""
    return Markup('<img src="{}" alt="{}" width="{}" height="{}"{}>').format(source, alt, *image.size, small)


def _inline(svg, alt):
    """What a browser needs of matplotlib's SVG: no prologue, no fixed size or font, no ids but those that are referred to."""
    viewbox = re.search(r'viewBox="[^"]*"', svg)[0]
    body = re.sub(r"<style.*?</style>\s*|<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    body = body[body.index(">", body.index("<svg")) + 1 :]
    used = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    body = re.sub(r' (?:d|x|y)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), body)
    body = re.sub(r"font: ([^;]*?)([\d.]+)px [^;\"]*|font-family: [^;\"]*;?", _font, body)
    for colour, name in ((INK, "currentColor"), *((colour, f"var(--{name})") for name, colour in DRAWN.items())):
        body = body.replace(colour, name)
    opening = Markup('<svg {} role="img" aria-label="{}">').format(Markup(viewbox), alt)
    return opening + Markup(re.sub(r"\s*\n\s*", "\n", body).strip())


def _font(found):
    """Size and weight, as they were drawn; the family is the page's."""
    if found[2] is None:
        return ""
    weight = f"font-weight: {found[1].strip()}; " if found[1].strip() else ""
    return f"{weight}font-size: {found[2]}px"


def _duration(seconds):
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
