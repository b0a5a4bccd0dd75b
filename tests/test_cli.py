"""The command line: what it prints, how it ends, and that it starts without TensorFlow."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.outputs import free_folder
from kerastl.recipe import names
from kerastl.stopping import Stopped
from kerastl.train.history import read_history

pytestmark = pytest.mark.usefixtures("step_by_step")

ROOT = Path(__file__).parents[1]
TINY = [
    f"--set={pair}"
    for pair in (
        "data.name=digits",
        "data.limit=64",
        "data.validation=0.25",
        "model.backbone=SmallCNN",
        "model.weights=none",
        "model.image_size=32",
        "train.batch_size=32",
        "train.epochs_scale=0.001",
    )
]


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def events_of(*arguments):
    """What a program reads; nothing is on the error output."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json-lines"])
    assert result.stderr == ""
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def interrupted(*_):
    raise KeyboardInterrupt


def test_help_names_every_command():
    code, told = call("--help")
    assert code == 0
    assert all(
        command in told
        for command in (
            "recipes",
            "keys",
            "check",
            "doctor",
            "train",
            "tune-speed",
            "lr-find",
            "evaluate",
            "report",
            "sweep",
            "compare",
            "explain",
            "predict",
            "export",
        )
    )


def test_recipes_is_a_table_of_all():
    code, told = call("recipes")
    assert code == 0 and all(name in told for name in names())
    assert "hub:resnet_18_imagenet" in told and "finetune-first" in told


def test_keys():
    code, told = call("keys")
    assert code == 0 and "phases.N.optimizer.learning_rate" in told and "pixels" in told


MENDABLE = [
    (["train", "nope"], "error: no recipe 'nope'; valid: "),
    (["train", "quickstart", "--set", "model.image_sise=1"], "did you mean 'image_size'?"),
    (["train", "quickstart", "--set", "model.image_size"], "no '='"),
    (["train", "quickstart", "--strategy", "ful"], "did you mean 'full'?"),
    (["train", "cifar10-finetune-first", "--data-dir", "nowhere"], "cifar10 is not in nowhere"),
    (["check", "nowhere"], "error: nowhere: no such folder; and as a dataset: data.name: found 'nowhere'"),
    (["evaluate", "nowhere"], "error: nowhere: no finished run"),
    (["report", "nowhere"], "error: nowhere: no finished run"),
    (["compare", "nowhere"], "error: found 1 folder to compare; expected two or more"),
    (["compare", "nowhere", "nowhere2"], "error: nowhere: no finished run"),
    (["train"], "found no RECIPE; expected a name"),
    (["train", "--resume", "nowhere"], "nowhere: holds no run; expected a folder with a recipe.toml"),
    (["train", "--resume", "nowhere", "--out", "there"], "a resumed run goes on in its own folder"),
    (["sweep", "quickstart", "--over", "data.limit"], "--over data.limit: expected KEY=VALUE,VALUE"),
    (
        ["sweep", "quickstart", "--search", "data.limit"],
        "--search data.limit: expected KEY=LOW..HIGH, KEY=LOW..HIGH:log",
    ),
    (["sweep", "quickstart"], "nothing to sweep over; expected --over KEY=VALUE,VALUE,... or --search KEY=LOW..HIGH"),
    (["sweep", "quickstart", "--search", "model.head.dropout=0..1"], "found 1.0; expected a number below 1.0"),
    (["train", "quickstart", "--quiet", "--json-lines"], "--quiet, --json-lines: found both; expected one of them"),
    (["lr-find", "quickstart", "--phase", "7"], "error: --phase 7: quickstart has the phases 0 to 1"),
]


@pytest.mark.parametrize(("arguments", "told"), MENDABLE)
def test_what_the_user_can_mend_ends_with_2_and_one_sentence(arguments, told):
    code, output = call(*arguments)
    assert code == 2 and told in output and "Traceback" not in output


def test_a_program_reads_how_it_failed():
    result = CliRunner().invoke(app, ["train", "nope", "--json-lines"])
    [event] = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == event["exit_code"] == 2 and event["event"] == "failed"
    assert event["message"].startswith("no recipe 'nope'") and result.stderr == f"error: {event['message']}\n"


def test_debug_shows_the_traceback():
    result = CliRunner().invoke(app, ["train", "nope", "--debug"])
    assert result.exit_code == 1 and type(result.exception).__name__ == "RecipeError"


def test_failures_end_with_1(monkeypatch):
    monkeypatch.setattr("kerastl.cli.training.run_recipe", lambda *_, **how: 1 / 0)
    code, told = call("train", "quickstart")
    assert code == 1 and "error: ZeroDivisionError" in told and "--debug" in told and "Traceback" not in told


STOPS = {
    KeyboardInterrupt(): (130, "interrupted; to go on: kerastl train --resume run"),
    Stopped("stopped by SIGTERM; the state is kept", 15): (
        143,
        "the state is kept; to go on: kerastl train --resume run",
    ),
}


@pytest.mark.parametrize("stop", STOPS)
def test_asked_to_stop_it_says_how_to_go_on(monkeypatch, stop):
    def stopped(*_, **how):
        raise stop

    monkeypatch.setattr("kerastl.run.train", stopped)
    code, told = call("train", "quickstart", "--out", "run")
    assert code == STOPS[stop][0] and told.strip().endswith(STOPS[stop][1]) and "Traceback" not in told


def test_a_killed_run_goes_on_with_one_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("kerastl.run.save_keras", lambda *_: 1 / 0)
        assert call("train", "cifar10-freeze-first", "--strategy=head-only", *TINY, "--out", "run")[0] == 1
    code, told = call("train", "cifar10-freeze-first", *TINY, "--out", "run")
    assert code == 2 and "run: holds a run already; name a new folder (--out), or go on with it (--resume run)" in told
    code, told = call("train", "--resume", "run", "--quiet")
    assert code == 0 and "metrics.json" in told and "epoch" not in told and "->" not in told, "the result alone"
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 2


def test_dry_run_prints_the_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, told = call("train", "cifar10-finetune-first", *TINY, "--dry-run")
    assert code == 0 and "phase 1/2 fine-tune: 1 epochs x 2 steps" in told and "learning rate" in told
    assert list(tmp_path.iterdir()) == []


def test_train_evaluate_compare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "cifar10-finetune-first", *TINY, "--out", "runs/a"])
    assert result.exit_code == 0 and "n = 360" in result.stdout and "labels.json" in result.stdout
    lines = result.stderr.splitlines()
    assert lines[0].startswith("cifar10-finetune-first -> runs/a, on ") and len(lines) == 3
    assert lines[1].startswith("fine-tune (1/2) epoch 1/1  loss ") and lines[2].startswith(
        "head (2/2) epoch 1/1  loss "
    )
    assert all(line.endswith(" left") for line in lines[1:])
    assert not {"\x1b", "\r"} & set(result.output), "it is no terminal"
    exports = ["--set=export.folder=exports", '--set=export.formats=["keras"]']
    code, events = events_of("train", "cifar10-finetune-first", *TINY, *exports, "--out", "runs/b")
    kinds = ["devices", "start", "phase", "epoch", "phase", "epoch", "judged", "exported", "finished"]
    assert code == 0 and [it["event"] for it in events] == kinds
    for row, event in zip(read_history("runs/b/history.csv"), (events[3], events[5]), strict=True):
        assert {key: value for key, value in row.items() if value is not None}.items() <= event.items()
    assert events[-1]["test"].items() <= json.loads(Path("runs/b/metrics.json").read_text())["test"].items()
    assert events[-2]["files"] == ["model.keras"] and Path(events[-2]["folder"], "model.keras").is_file()
    code, told = call("evaluate", "runs/a", "--split", "test")
    assert code == 0 and "test accuracy" in told and "precision" in told
    code, [event] = events_of("evaluate", "runs/b")
    assert code == 0 and event["event"] == "judged" and event["test"] == events[-1]["test"]
    code, told = call("compare", "runs/a", "runs/b")
    assert code == 0 and "SmallCNN" in told and "no difference shown (p = 1)" in told
    assert (tmp_path / "compare.png").exists() and (tmp_path / "compare.html").exists()


@pytest.mark.usefixtures("in_graphs")
def test_tune_speed_prints_a_row_for_each_phase():
    code, told = call("tune-speed", "cifar10-freeze-first", *TINY)
    assert code == 0, told
    lines = [line.split() for line in told.splitlines()]
    rows = [line for line in lines if line[:1] in (["head"], ["fine-tune"])]
    assert [row[1] for row in rows] == ["float32", "float32"] and all(float(row[-1]) > 0 for row in rows)
    assert "seconds of training" in told


@pytest.mark.usefixtures("in_graphs")
def test_lr_find_prints_and_draws_a_rate_for_each_phase(tmp_path):
    code, told = call("lr-find", "cifar10-freeze-first", *TINY, "--out", tmp_path / "rates.png")
    assert code == 0, told
    lines = [line.split() for line in told.splitlines()]
    assert [line[:2] for line in lines if line[:1] in (["0"], ["1"])] == [["0", "head"], ["1", "fine-tune"]]
    assert "steepest" in told and "min/10: a tenth of where it is lowest" in told
    assert (tmp_path / "rates.png").stat().st_size > 1000


def test_sweep_prints_every_setting_and_the_winner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["sweep", "cifar10-freeze-first", "--strategy=head-only", *TINY]
    command += ["--set=export.formats=[]", "--over=train.batch_size=16,32"]
    with monkeypatch.context() as patch:
        patch.setattr("kerastl.sweeps.report", interrupted)
        code, told = call(*command)
    assert code == 130 and "to go on: the same command with --out runs/cifar10-freeze-first-sweep" in told
    code, told = call(*command, "--out", "runs/cifar10-freeze-first-sweep")
    assert code == 0 and told.count("complete") == 2 and "winner, trained again on train + validation: train.b" in told
    assert "n = 360" in told


def test_runs_do_not_overwrite_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert free_folder("x") == Path("runs/x")
    Path("runs/x").mkdir(parents=True)
    Path("runs/x-2").mkdir()
    assert free_folder("x") == Path("runs/x-3")


def test_nothing_imports_tensorflow_before_work_starts():
    """One process for all of them: help, the tables, and the errors of a recipe."""
    script = """
import sys
from typer.testing import CliRunner
from kerastl.cli import app
from kerastl.outputs import free_folder
import kerastl
kerastl.recipe("quickstart"), dir(kerastl)
from kerastl import doctor
doctor.packages(), doctor.hardware(), doctor.places()
wrong = ["seed=-1", "train.precision=int8", "a.b=1", "phases=[]", "phases.0.trainable=[]", "data.validation=2", "noequals"]
errors = [["train", "nope"], ["train", "nope.toml"], ["train", "quickstart", "--strategy", "nope"], ["sweep", "quickstart", "--over", "x"]]
errors += [["sweep", "quickstart"], ["sweep", "quickstart", "--search", "model.head.dropout=0..1"]]
errors += [[command, "quickstart", "--set", text] for command in ("train", "tune-speed") for text in wrong]
for arguments in ([], ["--help"], ["train", "--help"], ["recipes"], ["keys"]):
    CliRunner().invoke(app, arguments)
for arguments in errors:
    assert CliRunner().invoke(app, arguments).exit_code == 2, arguments
slow = {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "numpy"} & set(sys.modules)
sys.exit(f"imported: {slow}" if slow else 0)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.fixture
def notebook_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    yield shell
    shell.restore_sys_module_state()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [("--sample --dry-run", "phase 2/2 head"), ("--strategy nope", "strategy: found 'nope'; valid: ")],
)
def test_a_script_is_run_from_a_notebook_without_a_traceback(arguments, told, notebook_shell, capsys):
    notebook_shell.run_line_magic("run", f"{ROOT / 'scripts' / 'train_cifar10.py'} {arguments}")
    out, err = capsys.readouterr()
    assert told in out + err and "SystemExit" not in out + err and "Traceback" not in out + err


SCRIPTS = [
    ("train_cifar10.py", ["--strategy", "freeze-first"], "cifar10-freeze-first"),
    ("train_cifar10.py", ["--strategy", "full"], "cifar10-finetune-first: "),
    ("train_cifar10.py", ["--sample"], "quickstart: "),
    ("train_cifar100.py", ["--strategy", "progressive"], "cifar100-progressive"),
    ("train_cifar100.py", ["--strategy", "last-layers"], "cifar100-last-layers"),
]


def test_a_script_has_every_option_of_train(monkeypatch, capsys):
    import runpy

    monkeypatch.setattr(sys, "argv", ["train_cifar10.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / "train_cifar10.py"), run_name="__main__")
    told, options = capsys.readouterr().out, call("train", "--help")[1]
    names = set(re.findall(r"(--[a-z-]+)", options)) - {"--minutes"}  # a script trains a recipe
    assert ended.value.code == 0 and len(names) > 8 and all(name in told for name in [*names, "--sample"])


@pytest.mark.parametrize(("script", "arguments", "recipe"), SCRIPTS)
def test_scripts_choose_the_recipe(script, arguments, recipe, monkeypatch, capsys):
    import runpy

    monkeypatch.setattr(sys, "argv", [script, *arguments, *(TINY if "--sample" not in arguments else []), "--dry-run"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "scripts" / script), run_name="__main__")
    assert ended.value.code == 0
    assert recipe in capsys.readouterr().out
