"""What the shell is offered, in the words bash, zsh and fish ask with."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.recipe import keys, names, strategy_names

PHASE = """
[[phases]]
name = "{}"
epochs = 1
optimizer = {{ learning_rate = 1e-3 }}
"""
FOUR_PHASES = """
description = "x"
data = { name = "digits" }
model = { backbone = "SmallCNN", weights = "none" }
""" + "".join(map(PHASE.format, range(4)))


def offered(*words, shell="bash"):
    """What Tab offers behind these words, of which the last is begun."""
    asked = " ".join(("kerastl", *words))
    variables = {"COMP_WORDS": asked, "COMP_CWORD": str(len(words)), "_TYPER_COMPLETE_ARGS": asked}
    if shell == "fish":
        variables["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    result = CliRunner().invoke(
        app, [], prog_name="kerastl", env={**variables, "_KERASTL_COMPLETE": f"complete_{shell}"}
    )
    return result.output.split("\n")[:-1] if result.output.strip() else []


OFFERED = [
    (("train", "cifar10-f"), [name for name in names() if name.startswith("cifar10-f")]),
    (("sweep", "quick"), ["quickstart"]),
    (("train", "quickstart", "--strategy", ""), strategy_names()),
    (("train", "quickstart", "--set", "data.l"), ["data.labels=", "data.limit="]),
    (("train", "quickstart", "--set", "data.lim"), ["data.limit="]),
    (("train", "quickstart", "--set", "data.cac"), ["data.cache=", "data.cache_budget="]),
    (("train", "quickstart", "--set", "data.on"), ["data.on_error=fail", "data.on_error=skip"]),
    (("train", "quickstart", "--set", "data.cache=r"), ["data.cache=ram"]),
    (("train", "quickstart", "--set", "train.det"), ["train.deterministic=true", "train.deterministic=false"]),
    (("train", "quickstart", "--set", "export.form"), ["export.formats="]),
    (("sweep", "quickstart", "--over", "train.batch"), ["train.batch_size="]),
    (("sweep", "quickstart", "--search", "model.head.drop"), ["model.head.dropout="]),
    (("train", "cifar100-progressive", "--set", "phases.2.ep"), ["phases.2.epochs="]),
    (("train", "quickstart", "--strategy", "head-only", "--set", "phases.1.ep"), []),
    (("train", "nosuch", "--set", "phases.0.ep"), ["phases.0.epochs="]),
    (("train", "mine"), ["mine.toml"]),
    (("train", "mine.toml", "--set", "phases.3.epo"), ["phases.3.epochs="]),
    (("train", "[a"), ["[a].toml"]),
    (("evaluate", "runs/a", "--split", "t"), ["test", "train"]),
    (("export", "runs/a", "--formats", "litert-"), ["litert-float16", "litert-int8"]),
    (("export", "runs/a", "--formats", "keras,o"), ["keras,onnx"]),
    (("export", "runs/a", "--formats", "keras,ke"), []),
    (("doc",), ["doctor"]),
]


@pytest.mark.parametrize(("words", "expected"), OFFERED)
def test_what_bash_is_offered(words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.toml", "[a].toml"):
        (tmp_path / name).write_text(FOUR_PHASES)
    assert offered(*words) == expected


def test_every_key_is_offered():
    told = offered("train", "quickstart", "--set", "")
    assert [it for it in told if not it.startswith("phases.1.")] == [
        f"{row[0].replace('.N.', '.0.')}=" for row in keys()
    ]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_show_the_meaning_beside(shell):
    (told,) = offered("train", "quickstart", "--set", "data.lim", shell=shell)
    assert "data.limit=" in told and {row[0]: row[3] for row in keys()}["data.limit"][:20] in told


def test_tab_does_not_wait_for_tensorflow():
    script = """
import os, sys
os.environ.update(_KERASTL_COMPLETE="complete_bash", COMP_WORDS="kerastl train quickstart --set data.li", COMP_CWORD="4")
from kerastl.cli import app
try:
    app(prog_name="kerastl")
finally:
    assert not {"tensorflow", "keras", "numpy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["data.limit="] and "Assertion" not in done.stderr
