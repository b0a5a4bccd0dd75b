"""Read a table of plain values into frozen dataclasses, strictly.

The dataclass is the schema: its type hints say what is accepted (numbers, text, ``Literal`` choices, tuples, mappings,
nested dataclasses, unions of these) and `key` adds the bounds and the sentence that explains it. Nothing is guessed: an
unknown key, a wrong type or a value out of range raises `RecipeError` naming the source, the key, what was found and
what is valid.
"""

import dataclasses
import difflib
import sys
import types
import typing

from kerastl.errors import RecipeError

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def key(default=dataclasses.MISSING, doc="", *, at_least=None, at_most=None, above=None, below=None):
    """A dataclass field with its meaning and its bounds.

    Args:
        default: the value when the key is absent; left out, the key is required. A class makes a fresh nested table.
        doc: one sentence, with the unit; `kerastl keys` prints it.
        at_least, at_most, above, below: bounds of a number, or of every number in a list or mapping.

    Returns:
        A `dataclasses.field`.
    """
    bounds = {"at least": at_least, "at most": at_most, "above": above, "below": below}
    metadata = {"doc": doc, "bounds": {word: limit for word, limit in bounds.items() if limit is not None}}
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def suggest(found, valid):
    """What is valid, with the nearest name first: the tail of every "unknown name" message."""
    near = difflib.get_close_matches(str(found), [str(name) for name in valid], n=1, cutoff=0.6)
    return (f"did you mean {near[0]!r}? " if near else "") + "valid: " + ", ".join(str(name) for name in valid)


def read(cls, table, source, path=(), origins=None):
    """Build the frozen dataclass `cls` from a table.

    Args:
        cls: a dataclass whose fields were made with `key`.
        table: what TOML gave: a dict of plain values.
        source: where the table comes from, named in errors (a file, usually).
        path: the keys that led here.
        origins: a mapping of key paths to another source, for values that were overridden.

    Returns:
        An instance of `cls`.

    Raises:
        RecipeError: an unknown or missing key, a wrong type, a value out of bounds or a contradiction that the
            class's own check found.
    """
    origins = origins or {}
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    if not isinstance(table, dict):
        raise _error(source, path, origins, f"found {_show(table)}; expected a table with the keys {', '.join(fields)}")
    for name in table:
        if name not in fields:
            raise _error(source, (*path, name), origins, f"unknown key; {suggest(name, fields)}")
    values = {}
    for name, field in fields.items():
        here = (*path, name)
        if name in table:
            values[name] = _convert(table[name], hints[name], source, here, origins)
            _check_bounds(values[name], field.metadata["bounds"], source, here, origins)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _error(source, here, origins, f"is missing; expected {field.metadata['doc']}")
    try:
        return cls(**values)
    except ValueError as contradiction:
        raise _error(source, path, origins, str(contradiction)) from None


def dump(value):
    """The plain table that `read` would take back; keys left at their default are kept, `None` is left out."""
    if dataclasses.is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: dump(item) for name, item in pairs if item is not None}
    if isinstance(value, dict):
        return {name: dump(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [dump(item) for item in value]
    return value


def flat(value, path=""):
    """A table of plain values as dotted keys; nothing of tables and lists that are empty.

    Example:
        >>> flat({"a": {"b": 1}, "c": [2, 3]})
        {'a.b': 1, 'c.0': 2, 'c.1': 3}
    """
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else None
    if items is None:
        return {path: value}
    return {
        key: leaf for name, item in items for key, leaf in flat(item, f"{path}.{name}" if path else str(name)).items()
    }


def depth(value):
    """How many tables and lists of plain values stand in each other; a text has 0. Without recursion: it may be thousands."""
    deep, level = 0, [value]
    while level := [item for item in level if isinstance(item, (dict, list))]:
        deep += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return deep


def expected(hint):
    """A type hint in words, as errors and `kerastl keys` show it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return ""
    if origin is typing.Literal:
        return " or ".join(repr(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(filter(None, map(expected, arguments)))
    if origin is tuple:
        return f"a list of {expected(arguments[0])}".replace("of a ", "of ")
    if origin is dict:
        return f"a table of name = {expected(arguments[1])}"
    if dataclasses.is_dataclass(hint):
        return "a table {" + ", ".join(field.name for field in dataclasses.fields(hint)) + "}"
    return _WORDS.get(hint, "any value")


def _convert(value, hint, source, path, origins):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, hint, arguments, source, path, origins)
    if dataclasses.is_dataclass(hint):
        return read(hint, value, source, path, origins)
    if origin is typing.Literal and value in arguments and isinstance(value, type(arguments[0])):
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(item, arguments[0], source, (*path, i), origins) for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: _convert(item, arguments[1], source, (*path, name), origins) for name, item in value.items()}
    if hint is float and type(value) in (int, float) and abs(value) <= sys.float_info.max:  # neither inf nor nan
        return float(value)
    if hint is typing.Any or (hint is not float and isinstance(hint, type) and type(value) is hint):
        return value
    tail = f"; {suggest(value, arguments)}" if origin is typing.Literal else f"; expected {expected(hint)}"
    raise _error(source, path, origins, f"found {_show(value)}{tail}")


def _convert_union(value, hint, members, source, path, origins):
    """The first member that takes the value; a table goes to the member that is a table, so that its errors show."""
    if isinstance(value, dict):
        members = [m for m in members if dataclasses.is_dataclass(m) or typing.get_origin(m) is dict] or members
        if len(members) == 1:
            return _convert(value, members[0], source, path, origins)
    for member in members:
        try:
            return _convert(value, member, source, path, origins)
        except RecipeError:
            continue
    raise _error(source, path, origins, f"found {_show(value)}; expected {expected(hint)}")


def _check_bounds(value, bounds, source, path, origins):
    holds = {
        "at least": lambda number, limit: number >= limit,
        "at most": lambda number, limit: number <= limit,
        "above": lambda number, limit: number > limit,
        "below": lambda number, limit: number < limit,
    }
    numbers = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if type(number) in (int, float):
            for word, limit in bounds.items():
                if not holds[word](number, limit):
                    raise _error(source, path, origins, f"found {number}; expected a number {word} {limit}")


def _error(source, path, origins, text):
    for end in range(len(path), 0, -1):
        source = origins.get(tuple(map(str, path[:end])), source)
        if tuple(map(str, path[:end])) in origins:
            break
    where = ".".join(map(str, path))
    named = where and not source.startswith(f"--set {where}=")
    return RecipeError(f"{source}: {where + ': ' if named else ''}{text}")


def _show(value):
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."
