"""The notebook runs from top to bottom on the sample, and is kept without outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from kerastl.recipe import recipe

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "kerastl_colab.ipynb"
# The sample, trained for an epoch of each phase on half of its images, and no network from scratch beside it.
LESS = {"train.epochs_scale": 0.01, "data.repeat": 1, "baseline": None, "export.formats": ["keras"]}


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)


def tagged(notebook, tag):
    (cell,) = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]
    return cell


def test_it_is_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
    assert not any("execution" in cell.metadata or "outputId" in cell.metadata for cell in code)


def test_its_switch_names_recipes(notebook):
    whole = "\n".join(cell.source for cell in notebook.cells)
    (names,) = re.findall(r'"([\w-]+)" if CIFAR10 else "([\w-]+)"', whole)
    assert [recipe(name).data.name for name in names] == ["cifar10", "digits"]


def shown(cell, kind="text/plain"):
    """What a cell printed, or what it displayed of a kind."""
    printed = "".join(it.text for it in cell.outputs if it.output_type == "stream" and it.name == "stdout")
    return printed if kind == "text/plain" else [it.data[kind] for it in cell.outputs if kind in it.get("data", ())]


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(notebook, tmp_path, monkeypatch):
    """In a kernel of its own, as a reader's; what is written goes into the folder it runs in."""
    tagged(notebook, "parameters").source += f"\nCHANGES = {LESS}"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")  # of these tests: a reader has none
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert not tagged(notebook, "install").outputs
    printed = [it for cell in notebook.cells for it in cell.get("outputs", ()) if it.output_type == "stream"]
    assert not [it.text for it in printed if it.name == "stderr" or "tensorflow" in it.text]
    (curves,) = shown(tagged(notebook, "curves"), "image/png")
    (page,) = shown(tagged(notebook, "report"), "text/html")
    assert len(curves) > 1000 and page.count('"') == 8 and "quickstart" in page
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()
    told = shown(tagged(notebook, "predict"))
    assert len(re.findall(r"^ *\d+\.\d%  \w+$", told, re.MULTILINE)) == 3
    says, is_ = (line.partition("[")[2] for line in shown(tagged(notebook, "plain")).splitlines())
    assert says.count("'") == is_.count("'") == 20
