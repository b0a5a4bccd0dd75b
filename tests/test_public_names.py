"""Every public name says what it takes, gives and raises, and shows how it is used."""

import dataclasses
import inspect
import re

import pytest

import kerastl

# Functions that have nothing to raise.
SOUND = {"recipes", "judge", "layer_groups"}
PUBLIC = {name: getattr(kerastl, name) for name in kerastl.__all__}
FUNCTIONS = [name for name, it in PUBLIC.items() if inspect.isfunction(it)]
CLASSES = [name for name, it in PUBLIC.items() if inspect.isclass(it)]


def section(documented, name):
    """The indented lines below `name:` in a docstring, or None."""
    found = re.search(rf"^{name}:\n((?:(?: {{4}}.*)?\n?)*)", inspect.getdoc(documented) + "\n", re.MULTILINE)
    return found and found[1]


def explained(documented):
    """The parameters that its Args explain."""
    names = re.findall(r"^ {4}([\w*, ]+):", section(documented, "Args") or "", re.MULTILINE)
    return {name.strip(" *") for row in names for name in row.split(",")}


def test_all_names_are_functions_or_classes():
    assert sorted(FUNCTIONS + CLASSES) == sorted(kerastl.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_documented(name):
    function = PUBLIC[name]
    assert re.match(r"\S.*[.]\n(\n|\Z)", inspect.getdoc(function) + "\n"), "a summary in one line"
    assert explained(function) == set(inspect.signature(function).parameters)
    assert section(function, "Returns") or section(function, "Yields")
    assert ">>>" in (section(function, "Example") or "")
    assert bool(section(function, "Raises")) == (name not in SOUND)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_documented(name):
    """The fields of a recipe have their own sentences, which `kerastl keys` prints; those of other classes are Args."""
    cls = PUBLIC[name]
    assert re.match(r"\S.*", inspect.getdoc(cls))
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    assert {it.name for it in fields if not it.metadata.get("doc")} == explained(cls)
