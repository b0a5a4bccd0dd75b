"""The examples in the docstrings do what they show."""

import doctest
import importlib
import pkgutil

import pytest

import kerastl

MODULES = [module.name for module in pkgutil.walk_packages(kerastl.__path__, "kerastl.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_there_are_examples():
    found = [
        example
        for name in MODULES
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(found) > 15
