"""What the shell offers at the press of Tab, from the same tables that the commands read. TensorFlow is not imported."""

import re
from glob import escape
from pathlib import Path

import typer

from kerastl import recipe as read_recipe
from kerastl.errors import KerastlError
from kerastl.recipe import keys, names, strategy_names

CHOICE = re.compile(r"'([^']+)'|\b(true|false)\b")  # in the words of `kerastl keys`


def recipe_names(incomplete: str):
    """Recipes that come with kerastl, and TOML files."""
    files = sorted(str(path) for path in Path().glob(f"{escape(incomplete)}*.toml"))
    return [(name, read_recipe(name).description) for name in names() if name.startswith(incomplete)] + files


def strategies(incomplete: str):
    return [name for name in strategy_names() if name.startswith(incomplete)]


def splits(incomplete: str):
    return [name for name in ("test", "validation", "train") if name.startswith(incomplete)]


def formats(incomplete: str):
    """Names with commas between them, none of them twice."""
    before, comma, begun = incomplete.rpartition(",")
    there = [row[1] for row in keys() if row[0] == "export.formats"]
    names = [name for name, _ in CHOICE.findall(there[0]) if name.startswith(begun) and name not in before.split(",")]
    return [before + comma + name for name in names]


def assignments(ctx: typer.Context, incomplete: str):
    """KEY= for every key of a recipe, each phase by its number; a key that is alone comes with the values it may have."""
    rows = [
        (f"{dotted.replace('.N.', f'.{number}.')}=", expected, meaning)
        for dotted, expected, _, meaning in keys()
        for number in (range(_phases(ctx)) if ".N." in dotted else (0,))
    ]
    alone = incomplete.partition("=")[0] + "="
    matching = [row for row in rows if row[0] == alone] or [row for row in rows if row[0].startswith(incomplete)]
    if len(matching) == 1:
        ((key, expected, meaning),) = matching
        values = ["".join(pair) for pair in CHOICE.findall(expected.partition("a list of")[0])]
        matching = [(key + value, expected, meaning) for value in values] or matching
    return [(text, meaning) for text, _, meaning in matching if text.startswith(incomplete)]


def _phases(ctx):
    """How many phases the recipe on the command line has; one where it cannot be read."""
    begun = ctx.params.get("recipe") or next(iter(ctx.args), "")  # the latter behind an option whose value is begun
    try:
        return len(read_recipe(begun, strategy=ctx.params.get("strategy")).phases)
    except KerastlError:
        return 1
