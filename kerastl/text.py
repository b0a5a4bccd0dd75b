"""Text of strangers (class names, file names, keys) made safe for where it goes: a terminal or a Markdown page.

HTML is escaped by the templates themselves (Jinja's autoescape), matplotlib by `kerastl.evaluate.plots`.
"""

import re
import unicodedata

# Cc: control characters, escape sequences begin with one; Cf: invisible ones that turn the direction of writing around or hide
# letters; Cs: bytes of a file name that are not UTF-8; Zl, Zp: line breaks.
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = {"\u200c", "\u200d"}  # zero-width, and needed to write Persian and many emoji
IN_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def printable(text, lines=False):
    """A text for a terminal or a log: what would move the cursor, hide or reorder letters is shown as an escape.

    Args:
        text: any text.
        lines: let line breaks and tabs through: for whole messages, not for names.

    Returns:
        A text that any UTF-8 stream takes. A byte of a file name that is not UTF-8 is shown as `\\xe9`.

    Example:
        >>> printable("cat\\x1b[2J\\udce9"), printable("Katze, 猫")
        ('cat\\\\x1b[2J\\\\xe9', 'Katze, 猫')
    """
    kept = {"\n", "\t"} if lines else set()
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        it if it in kept or it in JOINERS or unicodedata.category(it) not in UNSAFE else _escaped(it) for it in text
    )


def markdown(text):
    """A text for a Markdown page, on one line: nothing in it is markup, HTML or a link.

    Example:
        >>> markdown("<b>_cat_</b>\\n# License")
        '&lt;b&gt;\\\\_cat\\\\_&lt;/b&gt; \\\\# License'
    """
    text = printable(" ".join(text.split()))
    text = "".join(IN_HTML.get(it, it) for it in text.replace("\\", "\\\\"))
    return re.sub(r"([`*_\[\]#|~$!]|^[-+=]|^\d+(?=[.)]))", r"\\\1", text)


def _escaped(letter):
    if "\udc80" <= letter <= "\udcff":  # how Python holds a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
