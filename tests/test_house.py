"""The house: data flows one way, and what is forbidden is not there."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "kerastl"
# In the order of the path; a room imports from its left only.
ROOMS = (
    "errors",
    "text",
    "keras_settings",
    "strict",
    "schema",
    "identity",
    "recipe_text",
    "recipe",
    "space",
    "files",
    "stopping",
    "outputs",
    "streams",
    "voice",
    "parts",
    "processor",
    "data",
    "model",
    "shapes",
    "run_files",
    "run_metrics",
    "run_folder",
    "train",
    "auto_tables",
    "auto",
    "evaluate",
    "deploy",
    "preview",
    "circumstances",
    "resume",
    "evaluate_run",
    "run",
    "seeds",
    "launch",
    "database",
    "study",
    "sweeps",
    "startup",
    "doctor",
    "tables",
    "cli",
    "__main__",
    "script",
)
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")
FORBIDDEN = {"pickle", "eval", "exec", "Lambda"}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kerastl"):
            module = node.module.split(".")
            yield from [module[1]] if len(module) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("kerastl."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_from_its_left(path):
    here = ROOMS.index(room_of(path))
    for name in imports(ast.parse(path.read_text())):
        assert ROOMS.index(name) <= here, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_never_done(path):
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not names & FORBIDDEN
    keywords = [
        k for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords if k.arg == "safe_mode"
    ]
    assert not keywords, "Keras' default safe mode, always"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_one_idea(path):
    assert len(path.read_text().splitlines()) <= 320
    assert ast.get_docstring(ast.parse(path.read_text())), "its first lines say what it is"
    assert path.stem not in {"utils", "helpers", "common", "core", "manager"}
