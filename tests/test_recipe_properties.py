"""Recipes that nobody wrote: what the schema allows survives, and all else is refused by name."""

import datetime
import math
from pathlib import Path

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st
from made_up import ANYTHING, places, tables

from kerastl.errors import RecipeError
from kerastl.recipe import keys, override, parse_override, parse_value, recipe, to_toml
from kerastl.schema import Recipe

RECIPES = tables(Recipe)
A_DATE = datetime.date(1979, 5, 27)  # TOML has dates, recipes have none
BEYOND = {
    "at least": lambda limit: limit - 1,
    "at most": lambda limit: limit + 1,
    "above": lambda limit: limit,
    "below": lambda limit: limit,
}
WORDS = sorted({word for dotted, *_ in keys() for word in dotted.split(".")} - {"N"})
STRANGERS = st.text(min_size=1, max_size=8).filter(lambda name: name not in WORDS)
STEPS = st.lists(st.sampled_from([*WORDS, "0", "7", "²", "٣"]) | st.text(max_size=3), min_size=1, max_size=4)
DOTTED = (STEPS | STEPS.map(lambda steps: ["phases", *steps])).map(".".join)
DEEP = "[" * 3000
LONG = "9" * 5000


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A function that reads a recipe from a file of a table, a text or bytes."""
    path = tmp_path_factory.mktemp("made_up") / "mine.toml"

    def read(content, **overrides):
        text = tomli_w.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return recipe(path, **overrides)

    return read


def look(table, path):
    for step in path:
        table = table[int(step) if isinstance(table, list) else step]
    return table


def put(table, path, value):
    """A copy of a table with one value replaced."""
    if not path:
        return value
    first, *rest = path
    if isinstance(table, list):
        return [put(item, rest, value) if place == int(first) else item for place, item in enumerate(table)]
    return {**table, first: put(table.get(first), rest, value)}


@given(RECIPES)
def test_what_the_schema_allows_survives_a_round_trip(written, table):
    first = written(table)
    assert written(to_toml(first)) == first == override(first)


@given(RECIPES, st.data())
def test_a_wrong_type_is_told_by_name(written, table, data):
    path, _ = data.draw(st.sampled_from(list(places(Recipe, table))))
    dotted = ".".join(path)
    with pytest.raises(RecipeError) as caught:
        written(put(table, path, A_DATE))
    assert f"mine.toml: {dotted}: found datetime.date" in str(caught.value)
    with pytest.raises(RecipeError, match=r"found datetime.date") as caught:
        written(table, **{dotted: A_DATE})
    assert dotted in str(caught.value)


@given(RECIPES, st.data())
def test_a_value_out_of_bounds_is_told_by_name(written, table, data):
    bounded = [(path, field.metadata["bounds"]) for path, field in places(Recipe, table) if field.metadata["bounds"]]
    path, bounds = data.draw(st.sampled_from(bounded))
    word, limit = data.draw(st.sampled_from(sorted(bounds.items())))
    wrong = BEYOND[word](limit)
    wrong = {list: [wrong], dict: {"head": wrong}}.get(type(look(table, path)), wrong)
    with pytest.raises(RecipeError) as caught:
        written(put(table, path, wrong))
    assert f"mine.toml: {'.'.join(path)}: found " in str(caught.value)
    assert f"expected a number {word} {limit}" in str(caught.value)


@given(RECIPES, st.data(), STRANGERS)
def test_an_unknown_key_is_told_by_name(written, table, data, stranger):
    path, _ = data.draw(st.sampled_from(list(places(Recipe, table))))
    beside = (*path[:-1], stranger)
    with pytest.raises(RecipeError) as caught:
        written(put(table, beside, 1))
    assert f"mine.toml: {'.'.join(beside)}: unknown key; " in str(caught.value)


def read_or_told(read, *named):
    """A recipe, or an error with a name in it: nothing else may come of whatever is read."""
    try:
        assert isinstance(read(), Recipe)
    except RecipeError as error:
        assert any(name in str(error) for name in named)


@given(RECIPES, st.data(), ANYTHING | st.sampled_from([math.inf, math.nan, 10**400]))
def test_a_recipe_with_anything_in_it(written, table, data, anything):
    path, _ = data.draw(st.sampled_from(list(places(Recipe, table))))
    read_or_told(lambda: written(put(table, path, anything)), "mine.toml")


@given(RECIPES, st.dictionaries(DOTTED, ANYTHING, max_size=3))
def test_any_override_of_anything(written, table, overrides):
    read_or_told(lambda: written(table, **overrides), "mine.toml", *(f"--set {dotted}" for dotted in overrides))


@given(st.text() | st.binary())
@example(f"seed = {DEEP}")
@example(f"seed = {LONG}")
def test_any_file(written, content):
    read_or_told(lambda: written(content), "mine.toml")


@given(RECIPES, st.data(), st.binary(max_size=4) | st.sampled_from([b"[", b"]", b'"', b"=", b"\n", b"1e999", b"nan"]))
def test_any_slip_of_the_pen(written, table, data, slip):
    text = tomli_w.dumps(table).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 4, len(text))))
    read_or_told(lambda: written(text[:start] + slip + text[end:]), "mine.toml")


@given(st.text())
@example(DEEP)
@example(LONG)
def test_any_value_of_a_command_line(text):
    parse_value(text)
    try:
        dotted, _ = parse_override(text)
        assert dotted and dotted in text
    except RecipeError as error:
        assert f"--set {text}: " in str(error)


@given(st.text())
@example("a" * 5000 + ".toml")
def test_any_name_of_a_recipe(name):
    read_or_told(lambda: recipe(name), repr(name), str(Path(name)))
