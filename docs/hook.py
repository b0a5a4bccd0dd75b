"""What the pages take from the package itself, so that it is written once: commands, keys, recipes, backbones, public names."""

import re
import tomllib

import griffe
import typer
from typer.cli import get_docs_for_click

import kerastl
from kerastl.cli import app
from kerastl.model.backbones import TABLE
from kerastl.recipe import STRATEGIES, keys, strategy_names

MOVED = {"../SECURITY.md": "security.md"}  # what stands above docs/ for a reader of the checkout


def on_page_markdown(markdown, **_):
    """Put what is generated where a page says so: <!-- generated: keys -->."""
    for above, page in MOVED.items():
        markdown = markdown.replace(f"({above})", f"({page})")
    for name, make in GENERATED.items():
        mark = f"<!-- generated: {name} -->"
        markdown = markdown.replace(mark, make()) if mark in markdown else markdown
    return markdown


def on_page_content(html, **_):
    """mkdocstrings sets a dash between name and text, and before a text that has no name."""
    return re.sub(r'(<li class="doc-section-item field-body">\s*)\N{EN DASH}', r"\1", html)


class Sections(griffe.Extension):
    """Google's docstrings say Examples; one is an example."""

    def on_object(self, *, obj, **_):
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")


def public_names():
    """A block of mkdocstrings for each, in the module where it is written under that name."""
    return "\n\n".join(f"::: {place_of(name)}.{name}" for name in kerastl.__all__)


def place_of(name):
    if name in kerastl._LAZY:
        return kerastl._LAZY[name]
    found = getattr(kerastl, name)
    return found.__module__ if found.__name__ == name else "kerastl"


def commands():
    command = typer.main.get_command(app)
    whole = get_docs_for_click(obj=command, ctx=typer.Context(command), name="kerastl")
    return "## " + whole.partition("\n## ")[2]


def all_keys():
    rows = [(code(key), expected, default and code(default), meaning) for key, expected, default, meaning in keys()]
    return table(("key", "expected", "default", "meaning"), rows)


def recipes():
    every = map(kerastl.recipe, kerastl.recipes())
    rows = [(code(it.name), it.data.name, it.model.backbone, it.strategy, it.description) for it in every]
    return table(("recipe", "dataset", "backbone", "strategy", "what it is"), rows)


def strategies():
    rows = []
    for name in strategy_names():
        read = tomllib.loads((STRATEGIES / f"{name}.toml").read_text(encoding="utf-8"))
        phases = ", then ".join(f"{phase['name']} ({phase['epochs']} epochs)" for phase in read["phases"])
        rows.append((code(name), phases, read["description"]))
    return table(("strategy", "phases", "what it is"), rows)


def backbones():
    """Networks of one family in one row."""
    families = {}
    for name, it in TABLE.items():
        families.setdefault((it.preprocessing, it.ends), []).append(code(name))
    rows = [(", ".join(names), *wanted, ", ".join(map(code, ends))) for (*wanted, ends), names in families.items()]
    return table(("backbones", "preprocessing", "ends of stem, stage 1, stage 2, ..."), rows)


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def code(text):
    return f"`{text}`"


GENERATED = {
    "api": public_names,
    "backbones": backbones,
    "commands": commands,
    "keys": all_keys,
    "recipes": recipes,
    "strategies": strategies,
}
