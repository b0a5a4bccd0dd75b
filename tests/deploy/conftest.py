"""Shared by the tests of exports: one small model in every format."""

import pytest
from exported import LABELS, PIXELS, model_of

from kerastl.deploy.export import export
from kerastl.deploy.formats import FORMATS
from kerastl.schema import HeadSpec


@pytest.fixture(scope="session")
def small():
    return model_of("SmallCNN", head=HeadSpec((8,), dropout=0.2))


@pytest.fixture(scope="session")
def everything(small, tmp_path_factory):
    """A folder with every format, the temperature inside, and what `export` said of them."""
    folder = tmp_path_factory.mktemp("everything")
    return folder, export(small, folder, list(FORMATS), PIXELS, LABELS, temperature=True)
