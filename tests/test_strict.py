"""Strict reading: what is accepted, and what each mistake is told."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from kerastl.errors import RecipeError
from kerastl.strict import depth, dump, expected, key, read, suggest


@dataclass(frozen=True)
class Inner:
    size: int = key(doc="a size", at_least=1)


@dataclass(frozen=True)
class Outer:
    share: float = key(0.5, "a share", at_least=0.0, below=1.0)
    colour: Literal["red", "blue"] = key("red", "a colour")
    flag: bool = key(False, "a flag")
    sizes: tuple[int, ...] = key((), "sizes", at_least=1)
    rates: float | dict[str, float] = key(0.1, "rates", above=0.0)
    inner: Inner | None = key(None, "a table")
    many: tuple[Inner, ...] = key((), "tables")
    anything: dict[str, Any] = key(dict, "whatever")

    def __post_init__(self):
        if self.flag and self.colour == "blue":
            raise ValueError("blue flags are contradictory")


ACCEPTED = [
    ({}, "share", 0.5),
    ({"share": 0}, "share", 0.0),
    ({"colour": "blue"}, "colour", "blue"),
    ({"sizes": [1, 2]}, "sizes", (1, 2)),
    ({"rates": 2}, "rates", 2.0),
    ({"rates": {"head": 1}}, "rates", {"head": 1.0}),
    ({"inner": {"size": 3}}, "inner", Inner(3)),
    ({"many": [{"size": 3}, {"size": 4}]}, "many", (Inner(3), Inner(4))),
    ({"anything": {"a": [1, {"b": "c"}]}}, "anything", {"a": [1, {"b": "c"}]}),
]


@pytest.mark.parametrize(("table", "name", "value"), ACCEPTED)
def test_accepted(table, name, value):
    assert getattr(read(Outer, table, "x.toml"), name) == value


REFUSED = [
    ({"colou": "red"}, ["x.toml: colou: unknown key", "did you mean 'colour'?", "valid: share, colour"]),
    ({"share": "half"}, ["share: found 'half'", "a number"]),
    ({"share": True}, ["share: found True", "a number"]),
    ({"share": 1.0}, ["share: found 1.0", "below 1.0"]),
    ({"share": math.nan}, ["share: found nan", "a number"]),
    ({"rates": math.inf}, ["rates: found inf", "a number"]),
    ({"rates": 10**400}, ["rates: found 1000000", "a number"]),
    ({"share": -0.1}, ["at least 0.0"]),
    ({"flag": 1}, ["flag: found 1", "true or false"]),
    ({"colour": "bleu"}, ["colour: found 'bleu'", "did you mean 'blue'?", "red, blue"]),
    ({"sizes": [1, "2"]}, ["sizes.1: found '2'", "a whole number"]),
    ({"sizes": [1, 0]}, ["sizes: found 0", "at least 1"]),
    ({"sizes": 3}, ["sizes: found 3", "a list of whole number"]),
    ({"rates": {"head": 0}}, ["rates: found 0", "above 0"]),
    ({"rates": {"head": "x"}}, ["rates.head: found 'x'", "a number"]),
    ({"inner": {}}, ["inner.size: is missing", "a size"]),
    ({"inner": {"size": 1, "shape": 2}}, ["inner.shape: unknown key"]),
    ({"many": [{"size": 1}, {"size": 0}]}, ["many.1.size: found 0"]),
    ({"inner": 3}, ["inner: found 3", "a table {size}"]),
    ({"flag": True, "colour": "blue"}, ["x.toml: blue flags are contradictory"]),
    ([], ["expected a table with the keys share, colour"]),
]


@pytest.mark.parametrize(("table", "told"), REFUSED)
def test_refused(table, told):
    with pytest.raises(RecipeError) as caught:
        read(Outer, table, "x.toml")
    for part in told:
        assert part in str(caught.value)


def test_an_overridden_value_names_its_origin():
    with pytest.raises(RecipeError, match=r"^--set inner.size=0: found 0; expected a number at least 1$"):
        read(Outer, {"inner": {"size": 0}}, "x.toml", origins={("inner", "size"): "--set inner.size=0"})


def test_dump_is_what_read_takes():
    table = {"share": 0.25, "inner": {"size": 3}, "many": [{"size": 1}], "rates": {"head": 0.5}}
    once = read(Outer, table, "x.toml")
    assert read(Outer, dump(once), "x.toml") == once


def test_none_is_left_out():
    assert "inner" not in dump(read(Outer, {}, "x.toml"))


def test_types_in_words():
    assert expected(Literal["a", "b"]) == "'a' or 'b'"
    assert expected(Inner | None) == "a table {size}"


def test_nothing_near_is_not_guessed():
    assert suggest("zzz", ["alpha", "beta"]) == "valid: alpha, beta"


@pytest.mark.parametrize(("value", "deep"), [("text", 0), ({}, 1), ({"a": [1, {"b": []}]}, 4)])
def test_depth(value, deep):
    assert depth(value) == deep


def test_depth_of_more_than_recursion_bears():
    value = []
    for _ in range(100_000):
        value = [value]
    assert depth(value) == 100_001
