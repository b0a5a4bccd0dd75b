"""Text of strangers (class names, file names, keys) made safe for where it goes: a terminal or a Markdown page.

HTML is escaped by the templates themselves (Jinja's autoescape), matplotlib by `kerastl.evaluate.plots`.
"""

import json
import re

# Control characters, which begin escape sequences; invisible ones, which turn the direction of writing around or hide letters (the two
# joiners, U+200C and U+200D, are needed to write Persian and many emoji); bytes of a file name that are not UTF-8; line breaks.
CONTROL, LINES = "\x00-\x08\x0b-\x1f\x7f-\x9f", "\n\t"
INVISIBLE = (
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
)
NOT_UTF8 = "\ud800-\udfff"
UNSAFE = re.compile(f"[{CONTROL}{LINES}{INVISIBLE}{NOT_UTF8}]")
UNSAFE_BUT_LINES = re.compile(f"[{CONTROL}{INVISIBLE}{NOT_UTF8}]")
IN_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def printable(text, lines=False):
    r"""A text for a terminal or a log: what would move the cursor, hide or reorder letters is shown as an escape.

    Args:
        text: any text.
        lines: let line breaks and tabs through: for whole messages, not for names.

    Returns:
        A text that any UTF-8 stream takes. A byte of a file name that is not UTF-8 is shown as `\xe9`.

    Example:
        >>> printable("cat\x1b[2J\udce9"), printable("Katze, 猫")
        ('cat\\x1b[2J\\xe9', 'Katze, 猫')
    """
    return (UNSAFE_BUT_LINES if lines else UNSAFE).sub(lambda it: _escaped(it.group()), text)


def valid(text):
    r"""A name from the disk as a text that every file can hold: a byte that is not UTF-8 becomes `\xe9`.

    Example:
        >>> valid("caf\udce9"), valid("café")
        ('caf\\xe9', 'café')
    """
    return re.sub(f"[{NOT_UTF8}]", lambda it: _escaped(it.group()), text)


def json_line(value, letters=True):
    r"""A value as JSON on one line, its letters as they are, but for those that would act on a terminal.

    Args:
        value: what JSON takes.
        letters: False writes all but ASCII as escapes, for a stream that lacks letters.

    Example:
        >>> json_line({"class": "猫 \x9b2J"})
        '{"class": "猫 \\u009b2J"}'
    """
    return UNSAFE.sub(lambda it: json.dumps(it.group())[1:-1], json.dumps(value, ensure_ascii=not letters))


def markdown(text):
    r"""A text for a Markdown page, on one line: nothing in it is markup, HTML or a link.

    Example:
        >>> markdown("<b>_cat_</b>\n# License"), markdown("90.6%")
        ('&lt;b&gt;\\_cat\\_&lt;/b&gt; \\# License', '90.6%')
    """
    text = printable(" ".join(text.split()))
    text = "".join(IN_HTML.get(it, it) for it in text.replace("\\", "\\\\"))
    text = re.sub(r"([`*_\[\]#|~$!]|^[-+=](?=\s))", r"\\\1", text)
    text = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)
    return text.replace("://", "&#58;//").replace("www.", "www&#46;")  # else they become links by themselves


def _escaped(letter):
    if "\udc80" <= letter <= "\udcff":  # how Python holds a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
