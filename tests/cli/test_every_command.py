"""Every command, given every bad input of the tables: it ends by itself, with a sentence of ours, never with a raw error."""

import json
import os
import shutil

import pytest
from bad_input import BAD
from hostile import HOSTILE
from PIL import Image
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.cli.options import UNEXPECTED
from kerastl.recipe import override, to_toml


def ends_well(*arguments):
    """Run a command; what it printed, once it is seen that it ended with a sentence."""
    result = CliRunner().invoke(app, [str(it) for it in arguments])
    told = f"kerastl {' '.join(map(str, arguments))}\n{result.output}\n{result.exception!r}"
    assert result.exit_code in (0, 1, 2), told
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    assert UNEXPECTED not in result.output and "Traceback" not in result.output, told
    return result


def refuses(*arguments):
    result = ends_well(*arguments)
    assert result.exit_code in (1, 2) and result.output.strip(), f"kerastl {' '.join(map(str, arguments))}: accepted"


@pytest.fixture
def one(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "one.png")
    return tmp_path / "one.png"


@pytest.mark.parametrize("case", BAD)
def test_bad_data(case, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    spec = BAD[case][0](tmp_path / "data")
    keys = {
        f"data.{key}": value for key, value in (("name", spec.name), ("dir", spec.dir), ("on_error", spec.on_error))
    }
    keys |= {"data.validation": spec.validation, "data.test": spec.test, "data.limit": spec.limit}
    recipe = tmp_path / "x.toml"
    recipe.write_text(to_toml(override(tiny(strategy="full"), **keys, **{"baseline": None})))
    ends_well("check", spec.name, *(["--data-dir", spec.dir] if spec.dir else []))
    for command in (
        ["train", recipe, "--out", "run"],
        ["train", recipe, "--dry-run"],
        ["train", recipe, "--seeds", 2, "--out", "seeds"],
        ["sweep", recipe, "--over", "seed=1,2", "--out", "sweep"],
        ["lr-find", recipe],
        ["tune-speed", recipe],
    ):
        refuses(*command)
    assert not list(tmp_path.glob("*/model.keras"))


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file(case, tiny, one, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = HOSTILE[case][0](tmp_path)
    if file.suffix == ".toml":
        commands = [["train", file], ["train", file, "--dry-run"], ["sweep", file, "--over", "seed=1,2"]]
        commands += [["lr-find", file], ["tune-speed", file]]
    elif ".weights" in file.name:
        (tmp_path / "tiny.toml").write_text(to_toml(tiny(strategy="full", **{"baseline": None})))
        commands = [["train", "tiny.toml", "--set", f"model.weights={file}", "--out", "run"], ["predict", file, one]]
    else:
        commands = [["predict", file, one], ["explain", file, one], ["train", "--resume", file]]
        commands += [["train", "quickstart", "--set", f"model.backbone={file}", "--dry-run"]]
        run = shutil.copytree(finished.folder, tmp_path / "run", ignore=shutil.ignore_patterns("logs", "*.png"))
        shutil.copy(file, run / "model.keras")
        ends_well("report", run)  # it may do without the model
        commands += [["predict", run, one], ["explain", run, one], ["evaluate", run]]
        commands += [["export", run, "--formats", "h5", "--out", tmp_path / "h5"]]
    for command in commands:
        refuses(*command)


# Commands on what is not there, or is something else: a file for a folder, a folder for a file, a name that no system takes.
NOTHING = {
    "nothing": "nowhere",
    "an empty folder": "empty",
    "a file of text": "text",
    "an empty name": "",
    "a name with a zero byte": "a\0b",
    "a name of 300 letters": "n" * 300,
    "a path of 5,000 letters": "n/" * 2500,
    "a link to itself": "loop",
    "a pipe": "pipe",
    "bytes that are not UTF-8": "caf\udce9",
    "a device": "/dev/null",
    "a home that nobody has": "~nobody-at-all/x",
    "escape sequences": "\x1b[2Jx",
}
COMMANDS = (
    ["train", "X"],
    ["train", "X", "--dry-run"],
    ["train", "quickstart", "--set", "data.name=folder:X", "--dry-run"],
    ["train", "tiny.toml", "--set", "model.weights=X", "--out", "run"],
    ["train", "quickstart", "--set", "model.backbone=X.keras", "--dry-run"],
    ["train", "--resume", "X"],
    ["check", "X"],
    ["check", "digits", "--data-dir", "X"],
    ["evaluate", "X"],
    ["report", "X"],
    ["export", "X"],
    ["compare", "X", "X"],
    ["explain", "X", "one.png"],
    ["predict", "X", "one.png"],
    ["predict", "RUN", "X"],
    ["explain", "RUN", "X"],
    ["explain", "RUN", "one.png", "--similar", "X"],
    ["sweep", "X", "--over", "seed=1,2"],
    ["lr-find", "X"],
    ["tune-speed", "X"],
    ["app", "--models", "X"],
    ["launch", "--workers", "1", "--", "train", "X"],
)
STARTS_PROCESSES = {"launch", "app"}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_there(case, tiny, one, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(to_toml(tiny(strategy="full", **{"baseline": None})))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    place = NOTHING[case]
    for command in COMMANDS:
        if command[0] in STARTS_PROCESSES and case != "nothing":
            continue
        words = [str(finished.folder) if it == "RUN" else it.replace("X", place) for it in command]
        result = ends_well(*words)
        assert result.exit_code or command[:2] == ["check", "digits"], words
        assert "\x1b[2J" not in result.output


# What is written where it cannot be; every command that writes says so, and leaves nothing half-written.
PLACES = {
    "a file": "text",
    "below a file": "text/x",
    "a device": "/dev/null/x",
    "a long name": "n" * 300,
    "a zero byte": "a\0b",
}
WRITING = (
    ["train", "tiny.toml", "--out", "X"],
    ["train", "tiny.toml", "--seeds", "2", "--out", "X"],
    ["train", "tiny.toml", "--out", "run", "--set", "export.folder=X"],
    ["sweep", "tiny.toml", "--over", "seed=1,2", "--out", "X"],
    ["lr-find", "tiny.toml", "--out", "X/y.png"],
    ["explain", "RUN", "one.png", "--out", "X"],
    ["predict", "RUN", "one.png", "--out", "X/y.json"],
    ["export", "RUN", "--formats", "h5", "--out", "X"],
    ["compare", "RUN", "RUN", "--out", "X/y.html"],
)


@pytest.mark.parametrize("case", PLACES)
def test_nowhere_to_write(case, tiny, one, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("text")
    (tmp_path / "tiny.toml").write_text(to_toml(tiny(strategy="head-only", **{"baseline": None})))
    for command in WRITING:
        words = [str(finished.folder) if it == "RUN" else it.replace("X", PLACES[case]) for it in command]
        refuses(*words)
    assert (tmp_path / "text").read_text() == "text"


@pytest.mark.parametrize("command", [["train", "nope"], ["evaluate", "nowhere"], ["export", "nowhere"]])
def test_a_program_reads_the_sentence(command):
    result = ends_well(*command, "--json-lines")
    assert json.loads(result.stdout.splitlines()[-1])["event"] == "failed"
