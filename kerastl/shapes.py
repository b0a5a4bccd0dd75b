"""What a table from a stranger's JSON has to look like, as data: a shape is looked through once, and what differs is one sentence.

float, int, bool, str     such a value; numbers are finite, whole ones at most 2**53, texts at most 100,000 letters
Number(low, high)         a number within bounds
{"key": shape, "key?": …} a table with these keys; with a question mark it may be missing; others are not looked at
Names(shape)              a table with any keys
[shape]                   a list of any length
(shape, shape)            a list of exactly so many
Maybe(shape)              it, or null
OneOf("a", "b")           one of these texts
object                    anything
"""

from dataclasses import dataclass
from typing import Any

LONGEST = 100_000  # letters of a text: a reason can be long, a name is not
SHOWN = 60  # letters of what was found
LARGEST = 1e300  # of a number: sums and squares of figures stay finite below it
WHOLE = 2**53  # from here on a float64, as which figures are drawn, has no room for every whole number


@dataclass(frozen=True)
class Number:
    """A number within bounds, which belong to it."""

    low: float = -LARGEST
    high: float = LARGEST
    whole: bool = False


@dataclass(frozen=True)
class Maybe:
    """A shape, or null."""

    shape: Any


@dataclass(frozen=True)
class Names:
    """A table from any names to one shape."""

    shape: Any


@dataclass(frozen=True, init=False)
class OneOf:
    """One of some texts."""

    choices: tuple

    def __init__(self, *choices):
        object.__setattr__(self, "choices", choices)


SHARE = Number(0, 1)
COUNT = Number(0, WHOLE, whole=True)
AMOUNT = Number(0)
INTERVAL = (SHARE, SHARE)


def problem(value, shape, where=""):
    """Where a value is not what a shape asks for.

    Args:
        value: plain values, as JSON gives them; nested no deeper than the shape is looked through.
        shape: see above.
        where: the dotted key of the value.

    Returns:
        A sentence that names the place, what was found and what was expected; None where nothing is wrong.

    Example:
        >>> problem({"test": {"accuracy": "0.9"}}, {"test": {"accuracy": SHARE}})
        "test.accuracy: found '0.9'; expected a number from 0 to 1"
        >>> problem({}, {"seconds": float, "note?": str})
        'seconds: is missing; expected a number'
    """
    if isinstance(shape, Maybe):
        return None if value is None else problem(value, shape.shape, where)
    if isinstance(shape, dict) and isinstance(value, dict):
        return _first(_of_table(value, shape, where))
    if isinstance(shape, Names) and isinstance(value, dict):
        return _first(problem(item, shape.shape, _under(where, name)) for name, item in value.items())
    if isinstance(shape, list) and isinstance(value, list):
        return _first(problem(item, shape[0], _under(where, place)) for place, item in enumerate(value))
    if isinstance(shape, tuple) and isinstance(value, list) and len(value) == len(shape):
        pairs = enumerate(zip(value, shape, strict=True))
        return _first(problem(item, each, _under(where, place)) for place, (item, each) in pairs)
    return None if _is(value, shape) else f"{where or 'the whole'}: found {_shown(value)}; expected {expected(shape)}"


def expected(shape):
    """A shape in words."""
    if isinstance(shape, Maybe):
        return f"{expected(shape.shape)}, or null"
    if isinstance(shape, dict):
        return "a table with " + ", ".join(name for name in shape if not name.endswith("?")) if shape else "a table"
    if isinstance(shape, Names):
        return f"a table from names to {expected(shape.shape)}"
    if isinstance(shape, list):
        return f"a list, each {expected(shape[0])}"
    if isinstance(shape, tuple):
        return f"a list of {len(shape)}, each {expected(shape[0])}"
    if isinstance(shape, OneOf):
        return " or ".join(map(repr, shape.choices))
    if isinstance(shape, Number):
        kind = "a whole number" if shape.whole else "a number"
        ends = [("from", shape.low)] * (shape.low != -LARGEST) + [("to", shape.high)] * (
            shape.high not in (LARGEST, WHOLE)
        )
        return " ".join([kind, *(f"{word} {limit:g}" for word, limit in ends)])
    return {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}.get(shape, "any value")


def _of_table(value, shape, where):
    for key, inner in shape.items():
        name, optional = key.removesuffix("?"), key.endswith("?")
        if name in value:
            yield problem(value[name], inner, _under(where, name))
        elif not optional:
            yield f"{_under(where, name)}: is missing; expected {expected(inner)}"


def _is(value, shape):
    if shape is float or shape is int:
        shape = Number(-WHOLE, WHOLE, whole=True) if shape is int else Number()
    if isinstance(shape, Number):
        sound = type(value) in ((int,) if shape.whole else (int, float))
        return sound and shape.low <= value <= shape.high  # which neither inf nor nan is
    if isinstance(shape, OneOf):
        return isinstance(value, str) and value in shape.choices
    if shape is str:
        return isinstance(value, str) and len(value) <= LONGEST
    return shape is object or (shape is bool and isinstance(value, bool))


def _first(problems):
    return next((told for told in problems if told), None)


def _under(where, name):
    name = str(name)[:SHOWN]
    return f"{where}.{name}" if where else name


def _shown(value):
    if isinstance(value, (dict, list)):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value):,}"
    if isinstance(value, str):
        return repr(value) if len(value) <= SHOWN else f"a text of {len(value):,} letters"
    return str(value) if not isinstance(value, int) or abs(value) < 10**SHOWN else "a number of very many digits"
