"""Recipes: an experiment as data.

A recipe names a dataset, a backbone and a list of phases. It is a TOML file, read strictly into the dataclasses of
`schema`, so a mistake is found before anything slow starts: Keras is not imported here.
"""

import copy
import dataclasses
import json
import os
import re
import tomllib
import typing
from pathlib import Path

from kerastl import strict
from kerastl.errors import RecipeError
from kerastl.identity import relocated, remembered
from kerastl.recipe_text import to_toml as to_toml
from kerastl.schema import Phase, Recipe
from kerastl.text import valid

RECIPES = Path(__file__).parent / "recipes"
STRATEGIES = Path(__file__).parent / "strategies"
OWN_PHASES = "own phases"
DATASETS = ("cifar10", "cifar100", "digits", "glyphs", "tfds", "folder")  # what data.name begins with
# What tomllib raises: TOMLDecodeError is a ValueError, as is a number of thousands of digits; brackets can be too deep.
NOT_TOML = (ValueError, RecursionError)
# A recipe may come from a stranger. Ours have some 2,000 bytes and nest four deep; time and memory of reading stay bounded.
MOST_BYTES = 1_000_000
MOST_DOTS = 100  # in one line: each dot of a key is a table, and tomllib's work grows with their cube
MOST_DEPTH = 20
__all__ = [
    "Phase",
    "Recipe",
    "keys",
    "names",
    "override",
    "parse_override",
    "parse_value",
    "recipe",
    "strategy_names",
    "to_toml",
]


def names():
    """The recipes that come with kerastl.

    Returns:
        A list of names, sorted.

    Example:
        >>> import kerastl
        >>> "quickstart" in kerastl.recipes()
        True
    """
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def is_data(name):
    """Whether a name is that of a folder or a dataset, and not of a recipe; arrays are data."""
    if isinstance(name, tuple):
        return True
    is_folder = os.path.isdir(name)  # noqa: PTH112 (a name that is too long is none)
    return str(name) not in names() and (is_folder or str(name).partition(":")[0] in DATASETS)


def strategy_names():
    """The named lists of phases that come with kerastl, sorted."""
    return sorted(path.stem for path in STRATEGIES.glob("*.toml"))


def recipe(spec, strategy=None, **overrides):
    """Read a recipe, replace what was asked for, and check all of it.

    The recipe.toml in a run folder is read as the run had it: its relative paths are meant from where the run was begun.

    Args:
        spec: the name of a recipe that comes with kerastl, or the path of a TOML file.
        strategy: the name of a strategy whose phases replace the recipe's, unless the recipe follows it already.
        **overrides: dotted keys and their values, as `**{"model.image_size": 96, "phases.0.epochs": 1}`.

    Returns:
        A `Recipe`.

    Raises:
        RecipeError: no such recipe, or an unknown key, a wrong value or a contradiction in it.

    Example:
        >>> recipe("cifar10-finetune-first", **{"model.image_size": 96}).model.image_size
        96
    """
    path = _find(spec)
    table = relocated(_read_toml(path), path.parent)
    table.setdefault("name", path.stem)
    return _resolve(table, str(path), strategy, overrides)


def from_table(table, source, strategy=None, **overrides):
    """A recipe from a table of plain values, as TOML has them.

    Args:
        table: of tables and values.
        source: what errors name.
        strategy, **overrides: as in `recipe`.
    """
    return _resolve(table, source, strategy, overrides)


def override(base, strategy=None, **overrides):
    """A recipe with some values replaced, checked anew; arguments as in `recipe`."""
    return _resolve(strict.dump(base), f"recipe {base.name}", strategy, overrides)


def as_begun(base, folder):
    """A recipe as it was given to a run, with its relative paths meant from where that run was begun.

    Args:
        base: a `Recipe`.
        folder: of the run; where there is none yet, nothing changes.
    """
    changes = remembered(strict.dump(base), folder)
    beyond = {key: value for key, value in changes.items() if not key.startswith("baseline.")}
    if own := {key.removeprefix("baseline."): value for key, value in changes.items() if key not in beyond}:
        beyond["baseline"] = {**base.baseline, **own}
    return override(base, **beyond) if beyond else base


def parse_override(text):
    """Split `KEY=VALUE` from a command line; the value is read as TOML, or kept as text.

    Example:
        >>> parse_override("data.limit=200")
        ('data.limit', 200)
    """
    dotted, equals, value = text.partition("=")
    if not equals or not dotted.strip():
        raise RecipeError(f"--set {text}: found no '='; expected KEY=VALUE, as model.image_size=96")
    return dotted.strip(), parse_value(value)


def parse_value(text):
    """A TOML value, or the text itself where it is none: `0.1`, `true`, `[1, 2]`, `horizontal`."""
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except NOT_TOML:
        return text.strip()


def keys(cls=Recipe, prefix=""):
    """Every key a recipe may have, as rows (dotted key, what is expected, default, meaning)."""
    rows, hints = [], typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint, dotted = hints[field.name], prefix + field.name
        tables = [table for table in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(table)]
        listed = typing.get_origin(hint) is tuple and tables
        if hint not in tables and not listed:
            rows.append((dotted, strict.expected(hint), _default(field), field.metadata["doc"]))
        for table in tables:
            rows += keys(table, f"{dotted}.N." if listed else f"{dotted}.")
    return rows


def _default(field):
    if field.default is not dataclasses.MISSING:
        return "" if field.default is None else json.dumps(strict.dump(field.default))
    return "required" if field.default_factory is dataclasses.MISSING else "{}"


def _resolve(table, source, strategy, overrides):
    table, origins = copy.deepcopy(table), {}
    strategy = overrides.pop("strategy", strategy)
    if (strategy or table.get("strategy")) and ("phases" not in table or strategy not in (None, table.get("strategy"))):
        table["strategy"] = strategy or table["strategy"]
        strategy_file = _find_strategy(table["strategy"], source)
        table["phases"] = _read_toml(strategy_file)["phases"]
        origins[("phases",)] = f"strategy {table['strategy']} ({strategy_file})"
    for dotted, value in overrides.items():
        path = tuple(dotted.split("."))
        _put(table, path, value, dotted)
        origins[path] = f"--set {dotted}={value}"
    _refuse_invalid(table, source)
    _expand_home(table, source)
    return strict.read(Recipe, table, source, origins=origins)


# What is a path, or may be one; before it, what kind of source it is.
PATHS = {"data": ("name", "dir"), "model": ("weights", "backbone"), "export": ("folder",)}
PREFIXED = re.compile("(folder:|hub:|)(.*)", re.DOTALL)
DRIVE = re.compile(r"[A-Za-z]:[^/\\]")  # C: and no slash: a backslash was read as an escape


def _expand_home(table, source):
    """~ is the user's home in every path; what a Windows path becomes where TOML reads its backslashes is refused."""
    for name, keys in PATHS.items():
        inner = table.get(name)
        for key in keys if isinstance(inner, dict) else ():
            if not isinstance(inner.get(key), str):
                continue
            kind, path = PREFIXED.fullmatch(inner[key]).groups()
            if DRIVE.match(path) and not path.isprintable():
                raise RecipeError(
                    f"{source}: {name}.{key}: found {inner[key]!r}; a backslash in double quotes is an escape: write a Windows path in "
                    "single quotes, 'C:\\photos', or with slashes, C:/photos"
                )
            if path.startswith("~"):
                inner[key] = kind + os.path.expanduser(path)  # noqa: PTH111 (without a home folder it stays as it is)


def _refuse_invalid(value, source, key=""):
    """A name that is not UTF-8 comes from the command line, and no TOML file can hold it."""
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_invalid(item, source, f"{key}.{name}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_invalid(item, source, key)
    elif isinstance(value, str) and valid(value) != value:
        raise RecipeError(
            f"{source}: {key}: found {valid(value)!r}, which is not UTF-8; rename the file or folder, as a recipe is UTF-8"
        )


def _put(table, path, value, dotted):
    """Set a nested value; a number in the path is a place in a list; a plain value on the way becomes a table."""
    *way, last = path
    for i, step in enumerate(way):
        table = _child(table, step, dotted, {} if not isinstance(table, list) else None)
        following = path[i + 1]
        if not isinstance(table, (dict, list)):
            raise RecipeError(f"--set {dotted}: {step!r} holds {table!r}; expected a table to set {following!r} in")
    if isinstance(table, list):
        table[_place(table, last, dotted)] = value
    else:
        table[last] = value


def _child(table, step, dotted, fresh):
    if isinstance(table, list):
        return table[_place(table, step, dotted)]
    if not isinstance(table.get(step), (dict, list)):
        table[step] = fresh
    return table[step]


def _place(items, step, dotted):
    if not step.isdecimal() or int(step) >= len(items):
        raise RecipeError(f"--set {dotted}: found {step!r}; expected a number from 0 to {len(items) - 1}")
    return int(step)


def _find(spec):
    if Path(spec).suffix.lower() == ".toml":
        return Path(spec)
    if str(spec) in names():
        return RECIPES / f"{spec}.toml"
    if Path(spec).is_dir():
        raise RecipeError(
            f'{spec}: is a folder; expected a recipe. To train on photos in it, write a recipe with data.name = "folder:{spec}" '
            f"(docs/own-images.md); kerastl check {spec} looks at them"
        )
    raise RecipeError(f"no recipe {str(spec)!r}; {strict.suggest(spec, names())}, or the path of a .toml file")


def _find_strategy(name, source):
    if name in strategy_names():
        return STRATEGIES / f"{name}.toml"
    raise RecipeError(f"{source}: strategy: found {name!r}; {strict.suggest(name, strategy_names())}")


def _about_backslashes(text, error):
    """A remedy, where a Windows path in double quotes may be why."""
    found = re.search(r"line (\d+)", str(error))
    lines = text.splitlines()
    line = lines[int(found[1]) - 1] if found and int(found[1]) <= len(lines) else ""
    if '"' not in line or "\\" not in line:
        return ""
    return "; a backslash in double quotes is an escape: write a Windows path in single quotes, 'C:\\photos', or with slashes"


def _read_toml(path):
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else "is a folder"
        raise RecipeError(f"{path}: {found}; expected a recipe in TOML, or one of: {', '.join(names())}") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    if len(content) > MOST_BYTES:
        raise RecipeError(f"{path}: found more than {MOST_BYTES:,} bytes; expected a recipe, which is a page of text")
    try:
        text = content.decode("utf-8-sig")  # with or without the mark that Notepad begins a file with
    except UnicodeDecodeError as error:
        found = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else f"not UTF-8: {error}"
        raise RecipeError(f"{path}: {found}; expected a recipe in TOML, saved as UTF-8") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > MOST_DOTS:
            raise RecipeError(f"{path}: found {line.count('.')} dots in line {number}; expected at most {MOST_DOTS}")
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise RecipeError(f"{path}: not TOML that can be read: nested too deeply; expected a recipe") from None
    except ValueError as error:
        raise RecipeError(f"{path}: not TOML: {error}{_about_backslashes(text, error)}") from None
    if (deep := strict.depth(table)) > MOST_DEPTH:
        raise RecipeError(f"{path}: found tables nested {deep} deep; expected at most {MOST_DEPTH}")
    return table
