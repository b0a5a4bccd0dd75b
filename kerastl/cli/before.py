"""Commands for before a training: what there is, whether the data is sound, how long and how fast it may go."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kerastl import recipe as read_recipe
from kerastl.cli.options import (
    DataDir,
    Debug,
    JsonLines,
    Overrides,
    Quiet,
    RecipeName,
    Strategy,
    app,
    errors_shown,
    resolved,
)
from kerastl.errors import UserError
from kerastl.outputs import check_apart, check_file
from kerastl.recipe import OWN_PHASES, keys, names
from kerastl.startup import start_tensorflow
from kerastl.tables import print_check, print_doctor, print_rates, print_speeds, print_table
from kerastl.voice import say, tell, to_people


@app.command()
def recipes(debug: Debug = False):
    """List the recipes that come with kerastl."""
    with errors_shown(debug):
        every = [read_recipe(name) for name in names()]
        rows = [(r.name, r.data.name, r.model.backbone, r.strategy or OWN_PHASES, r.description) for r in every]
        print_table(("recipe", "dataset", "backbone", "strategy", "what it is"), rows)


@app.command("keys")
def show_keys(debug: Debug = False):
    """List every key a recipe may have, with its default and meaning."""
    with errors_shown(debug):
        print_table(("key", "expected", "default", "meaning"), keys())


@app.command()
def check(
    data: Annotated[
        str, typer.Argument(help="A folder of class folders, or a data.name, as cifar10 or tfds:NAME.", metavar="DATA")
    ],
    data_dir: DataDir = None,
    splits: Annotated[
        str, typer.Option(help="Of a folder: auto, or none where every sub-folder is a class, as data.splits.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
):
    """Look for broken images, duplicates and wrong labels before training; ends with 1 where training would refuse."""
    with errors_shown(debug):
        if not Path(data_dir or "", data.removeprefix("folder:")).is_dir():
            start_tensorflow()
        from kerastl.data.check import check as inspect

        if splits not in ("auto", "none"):
            raise UserError(f"--splits: found {splits!r}; expected auto or none")

        found = inspect(data, str(data_dir or ""), splits)
        say(json.dumps(found, indent=2)) if as_json else print_check(found)
        if found["usable"] and not as_json:
            say(f"next: kerastl train {shlex.quote(data)} --dry-run")
        raise typer.Exit(0 if found["usable"] else 1)


@app.command()
def doctor(
    probe: Annotated[bool, typer.Option("--probe/--no-probe", help="Time a network for some ten seconds.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
):
    """Look at packages, devices, folders and speed of this machine; ends with 1 where something is wrong, and says the remedy."""
    with errors_shown(debug):
        from kerastl.doctor import examine

        found = examine(probe)
        say(json.dumps(found, indent=2)) if as_json else print_doctor(found)
        raise typer.Exit(1 if found["problems"] else 0)


@app.command("tune-speed")
def tune_speed(
    recipe: RecipeName,
    strategy: Strategy = None,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
    json_lines: JsonLines = False,
    debug: Debug = False,
):
    """Time a few steps of each phase on this machine and say how long the recipe will take."""
    with errors_shown(debug, quiet, json_lines):
        spec = resolved(recipe, strategy, overrides, data_dir)
        tell("devices", told := start_tensorflow(), on=told)
        from kerastl.preview import tune_speed as measure

        speeds = measure(spec)
        for it in speeds:
            tell("speed", **asdict(it))
        if to_people():
            print_speeds(speeds)


@app.command("lr-find")
def lr_find(
    recipe: RecipeName,
    phase: Annotated[int | None, typer.Option(help="Only this one, from 0 as in the keys of a recipe.")] = None,
    strategy: Strategy = None,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Where the curves go.")] = Path("lr-find.png"),
    data_dir: DataDir = None,
    quiet: Quiet = False,
    json_lines: JsonLines = False,
    debug: Debug = False,
):
    """Let the learning rate of each phase grow from step to step, draw the loss and suggest a rate."""
    with errors_shown(debug, quiet, json_lines):
        spec = resolved(recipe, strategy, overrides, data_dir)
        check_apart(out, spec.data)
        check_file(out)
        tell("devices", told := start_tensorflow(), on=told)
        from kerastl.evaluate.plots import draw_rates
        from kerastl.train.lr_find import find_learning_rate

        tests = find_learning_rate(spec, phase)
        draw_rates(tests, out)
        for it in tests:
            tell("rates", phase=it.name, number=it.phase, rates=it.rates, suggestions=it.suggestions)
        if to_people():
            print_rates(tests)
            say(f"curves: {out}")
