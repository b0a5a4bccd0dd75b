"""The text of a recipe, as TOML, with the reasons of what was chosen automatically as comments."""

import re

import tomli_w

from kerastl import strict
from kerastl.text import printable


def to_toml(base):
    """The text of a TOML file that `recipe` reads back into the same recipe, its phases spelled out.

    Args:
        base: a `Recipe`; its `why` becomes comments, each above its key.
    """
    lines, table, counts = [], "", {}
    values = strict.dump(base)
    why = values.pop("why")
    for line in tomli_w.dumps(values).split("\n"):  # not splitlines: a text may hold rarer ends of lines
        if header := re.fullmatch(r"\[(\[?)([\w.]+)\]\]?", line):
            if header[1]:
                counts[header[2]] = counts.get(header[2], -1) + 1
            parts = header[2].split(".")
            table = "".join(f"{part}.{counts[part]}." if part in counts else f"{part}." for part in parts)
        elif comment := why.get(table + line.partition(" =")[0]):
            lines.append(f"# {printable(comment)}")
        lines.append(line)
    return "\n".join(lines)
