"""matplotlib as every picture needs it: settings of its own package alone, all text literal, fonts that have the letters.

A `matplotlibrc` in the working folder belongs to somebody else. A class may be called `price_$1_to_$5`, which is no mathematics. A class
may be called 猫, which the font that comes with matplotlib cannot write.
"""

import contextlib
import functools
import unicodedata
import warnings

from kerastl.errors import KerastlWarning
from kerastl.files import whole
from kerastl.keras_settings import prepare_matplotlib
from kerastl.text import printable

prepare_matplotlib()

import matplotlib  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.font_manager import findSystemFonts, fontManager  # noqa: E402
from matplotlib.ft2font import FT2Font  # noqa: E402
from matplotlib.text import Text  # noqa: E402
from matplotlib.ticker import FixedFormatter  # noqa: E402

__all__ = ["Figure", "Text", "drawn", "fonts_for", "matplotlib", "save", "style"]
OWN_FONT = "DejaVu Sans"
# Fonts that are tried last: of boxes, and of coloured bitmaps, which matplotlib cannot draw.
NO_FONTS = ("Last Resort", "Emoji", "Unifont")
OF_THE_PROCESS = {
    "backend",
    "backend_fallback",
    "interactive",
    "toolbar",
    "timezone",
    "date.epoch",
    "docstring.hardcopy",
}
STYLE = {
    **{key: matplotlib.rcParamsDefault[key] for key in matplotlib.rcParamsDefault if key not in OF_THE_PROCESS},
    "text.parse_math": False,
}
DPI = 120
_said = set()  # letters of which it was said that no font has them


@contextlib.contextmanager
def style(**more):
    """For the time of a `with` block, matplotlib's own defaults and literal text, and what is given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        settings = matplotlib.rc_context({**STYLE, **more})
    with settings:
        yield


def drawn(function):
    """A function that draws, in our style."""

    @functools.wraps(function)
    def draw(*arguments, **keywords):
        with style():
            return function(*arguments, **keywords)

    return draw


def save(figure, path):
    """Write a figure as PNG, whole or not at all, in letters that are there."""
    _make_readable(figure)
    with whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def _make_readable(figure):
    """Give every text fonts that have its letters; a letter that no font has is shown by its number."""
    texts = [it for it in figure.findobj(Text) if it.get_text()]
    fixed = [it.get_major_formatter() for axes in figure.axes for it in (axes.xaxis, axes.yaxis)]
    fixed = [it for it in fixed if isinstance(it, FixedFormatter)]
    every = "".join([it.get_text() for it in texts] + [str(label) for it in fixed for label in it.seq])
    if every.isascii() and printable(every, lines=True) == every:
        return
    families, missing = fonts_for(frozenset(filter(_needs_a_font, every)))
    _say_missing(missing)
    for it in texts:
        it.set_fontfamily([OWN_FONT, *families])
        it.set_text(_written(it.get_text(), missing))
    for it in fixed:
        it.seq = [_written(str(label), missing) for label in it.seq]
    for axes in figure.axes:
        axes.tick_params(labelfontfamily=[OWN_FONT, *families])


def _needs_a_font(letter):
    return not letter.isascii() and unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Mn", "Zs", "Zl", "Zp")


def _written(text, missing):
    text = printable(text, lines=True)
    return "".join(f"U+{ord(it):04X} " if it in missing else it for it in text).rstrip(" ")


def _say_missing(missing):
    new = missing - _said
    _said.update(new)
    if new:
        some = "".join(sorted(new)[:10])
        warnings.warn(
            f"no font of this machine has the letters {some}{'...' if len(new) > 10 else ''}: pictures show their numbers instead. "
            "Install one, as the Debian packages fonts-noto-cjk (Chinese, Japanese, Korean) and fonts-noto-core (other scripts)",
            KerastlWarning,
            stacklevel=4,
        )


@functools.lru_cache(maxsize=256)
def fonts_for(letters):
    """Fonts of this machine that together have some letters.

    Args:
        letters: a frozenset of letters.

    Returns:
        Names of font families, matplotlib's own one left out, and a frozenset of the letters that none has.
    """
    families, left, seen = [], set(letters), set()
    for name, path in _fonts():
        if not left:
            break
        if path not in seen:
            seen.add(path)
            if found := _letters_in(path, left):
                left -= found
                families += [name] if name != OWN_FONT else []
    return tuple(dict.fromkeys(families)), frozenset(left)


def _fonts():
    """Names and paths: ours first, then those matplotlib knows, then those installed since it last looked."""
    known = [it for it in fontManager.ttflist if it.style == "normal" and not any(no in it.name for no in NO_FONTS)]
    known.sort(key=lambda it: (it.name != OWN_FONT, abs(it.weight - 400) if isinstance(it.weight, int) else 0, it.name))
    yield from ((it.name, it.fname) for it in known)
    for path in sorted(set(findSystemFonts()) - {it.fname for it in fontManager.ttflist}):
        with contextlib.suppress(Exception):  # a damaged file is no font
            fontManager.addfont(path)
            if not any(no in fontManager.ttflist[-1].name for no in NO_FONTS):
                yield fontManager.ttflist[-1].name, path


def _letters_in(path, letters):
    try:
        font = FT2Font(path)
        return {it for it in letters if font.get_char_index(ord(it))}
    except (OSError, RuntimeError):
        return set()
