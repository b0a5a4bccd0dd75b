"""The command line: parse, call the library, print. TensorFlow is imported when work starts, not before."""

import contextlib
import json
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from kerastl import recipe as read_recipe
from kerastl.errors import KerastlError, KerastlWarning, RecipeError, UserError
from kerastl.recipe import OWN_PHASES, keys, names, parse_override
from kerastl.space import make_space, parse_over, parse_search
from kerastl.startup import start_tensorflow
from kerastl.tables import decimals, print_check, print_rates, print_run, print_speeds, print_sweep, print_table

app = typer.Typer(
    help="Transfer learning for image classification: recipes in, proven models out.",
    no_args_is_help=True,
    add_completion=False,
)

RecipeName = Annotated[
    str, typer.Argument(help="A recipe's name (see `kerastl recipes`), or the path of a TOML file.", metavar="RECIPE")
]
Strategy = Annotated[str | None, typer.Option(help="Replace the phases with those of a strategy, as freeze-first.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe; see `kerastl keys`."),
]
Out = Annotated[Path | None, typer.Option(help="Run folder (default: runs/NAME, numbered where it is taken).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder that holds the data.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan: who learns, how fast, how long. Nothing is trained.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Debug = False,
):
    """Look for broken images, duplicates and wrong labels before training; ends with 1 where training would refuse."""
    with errors_shown(debug):
        if not Path(data_dir or "", data.removeprefix("folder:")).is_dir():
            start_tensorflow()
        from kerastl.data.check import check as inspect

        found = inspect(data, str(data_dir or ""))
        typer.echo(json.dumps(found, indent=2)) if as_json else print_check(found)
        raise typer.Exit(0 if found["usable"] else 1)


@app.command()
def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe's name or TOML file; not needed with --resume.", metavar="RECIPE")
    ] = None,
    strategy: Strategy = None,
    overrides: Overrides = None,
    out: Out = None,
    data_dir: DataDir = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, wherever it was killed.", metavar="RUN")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --resume: also with other package versions or rates.")
    ] = False,
    dry_run: DryRun = False,
    debug: Debug = False,
):
    """Train, judge and save what a recipe describes, or go on with a run that was killed."""
    with errors_shown(debug):
        if resume is not None and out is not None:
            raise RecipeError("--out: a resumed run goes on in its own folder; expected --resume RUN alone")
        spec = resolved(recipe or recipe_of(resume), strategy, overrides, data_dir)
        run_recipe(spec, resume or out, dry_run, resume=resume is not None, force=force)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def launch(
    command: typer.Context,
    workers: Annotated[int, typer.Option(min=1, help="How many processes on this machine.")],
    debug: Debug = False,
):
    """Run a command in several workers on this machine: kerastl launch --workers 2 -- train RECIPE."""
    with errors_shown(debug):
        from kerastl.launch import launch as start

        start(workers, command.args)


@app.command("tune-speed")
def tune_speed(
    recipe: RecipeName,
    strategy: Strategy = None,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    debug: Debug = False,
):
    """Time a few steps of each phase on this machine and say how long the recipe will take."""
    with errors_shown(debug):
        spec = resolved(recipe, strategy, overrides, data_dir)
        typer.echo(start_tensorflow())
        from kerastl.preview import tune_speed as measure

        print_speeds(measure(spec))


@app.command("lr-find")
def lr_find(
    recipe: RecipeName,
    phase: Annotated[int | None, typer.Option(help="Only this one, from 0 as in the keys of a recipe.")] = None,
    strategy: Strategy = None,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Where the curves go.")] = Path("lr-find.png"),
    data_dir: DataDir = None,
    debug: Debug = False,
):
    """Let the learning rate of each phase grow from step to step, draw the loss and suggest a rate."""
    with errors_shown(debug):
        spec = resolved(recipe, strategy, overrides, data_dir)
        typer.echo(start_tensorflow(), err=True)
        from kerastl.evaluate.plots import draw_rates
        from kerastl.train.lr_find import find_learning_rate

        tests = find_learning_rate(spec, phase)
        draw_rates(tests, out)
        print_rates(tests)
        typer.echo(f"curves: {out}")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    debug: Debug = False,
):
    """Judge the model of a finished run again."""
    with errors_shown(debug):
        start_tensorflow()
        from kerastl.evaluate.metrics import shown
        from kerastl.run import evaluate as judge_again

        report = judge_again(run, split)
        typer.echo(f"{split} accuracy {shown(report)}, loss {report.loss:.4f}, top-5 {decimals(report.top5)}")
        rows = [
            (c["name"], c["n"], f"{c['precision']:.3f}", f"{c['recall']:.3f}", f"{c['f1']:.3f}")
            for c in report.per_class
        ]
        print_table(("class", "n", "precision", "recall", "f1"), rows)


@app.command()
def sweep(
    recipe: RecipeName,
    over: Annotated[
        list[str] | None, typer.Option(metavar="KEY=A,B,C", help="Values to try for a dotted key; several make a grid.")
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=LOW..HIGH[:log]", help="Instead: draw a dotted key from a range, or from values A,B,C."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="How many settings a search draws (30).")] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Database shared by all processes (default: sweep.db in the folder, SQLite)."),
    ] = None,
    strategy: Strategy = None,
    overrides: Overrides = None,
    out: Out = None,
    data_dir: DataDir = None,
    debug: Debug = False,
):
    """Try several values, choose on validation, retrain the winner on train + validation, score it on test once.

    The same command with the same --out, or the same --storage, goes on with a sweep, or helps with it.
    """
    with errors_shown(debug):
        base = resolved(recipe, strategy, overrides, data_dir)
        over, search = dict(map(parse_over, over or [])), dict(map(parse_search, search or []))
        make_space(base, over, search, trials)
        start_tensorflow()
        from kerastl.sweeps import sweep as run_sweep

        folder = out or free_folder(f"{base.name}-sweep")
        try:
            print_sweep(run_sweep(base, over, folder, search=search, trials=trials, storage=storage))
        except KeyboardInterrupt as stop:
            stop.args = (f"{str(stop) or 'interrupted'}; to go on: the same command with --out {folder}",)
            raise


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders.", metavar="RUN...")],
    figure: Annotated[Path, typer.Option(help="Where the overlaid curves go.")] = Path("compare.png"),
    debug: Debug = False,
):
    """Set finished runs side by side: one table and one figure."""
    with errors_shown(debug):
        start_tensorflow()
        from kerastl.evaluate.compare import COLUMNS
        from kerastl.evaluate.compare import compare as side_by_side

        rows = side_by_side(runs, figure)
        print_table(COLUMNS, [tuple(row.values()) for row in rows])
        typer.echo(f"curves: {figure}")


def resolved(name, strategy, overrides, data_dir):
    """The recipe with all that the command line says about it."""
    values = dict(map(parse_override, overrides or []))
    if data_dir is not None:
        values["data.dir"] = str(data_dir)
    return read_recipe(name, strategy=strategy, **values)


def recipe_of(run):
    """The file with the recipe of a run that is to be resumed."""
    if run is None:
        raise RecipeError(
            "found no RECIPE; expected a name (see `kerastl recipes`), the path of a TOML file, or --resume RUN"
        )
    if not (run / "recipe.toml").is_file():
        raise UserError(f"{run}: holds no run; expected a folder with a recipe.toml, as kerastl train writes it")
    return run / "recipe.toml"


def run_recipe(spec, out, dry, **how):
    told = start_tensorflow()
    if dry:
        from kerastl.preview import dry_run
        from kerastl.train.describe import describe

        plans, data = dry_run(spec)
        typer.echo(f"{spec.name}: {spec.description}\n{data}\n\n{describe(plans)}")
        return
    from kerastl.run import train as run_train
    from kerastl.train.devices import described, worker

    if out is None and worker()[1] > 1:
        raise UserError("--out: several workers have to agree on the run folder; expected --out DIR or --resume RUN")
    folder = out or free_folder(spec.name)
    typer.echo(f"{spec.name} -> {folder}, {told}; {described(spec.train.devices)}", err=True)
    try:
        print_run(run_train(spec, folder, **how))
    except KeyboardInterrupt as stop:
        stop.args = (f"{str(stop) or 'interrupted'}; to go on: kerastl train --resume {folder}",)
        raise


def free_folder(name):
    """runs/NAME, or runs/NAME-2, runs/NAME-3, ... where that is taken."""
    return next(
        folder for i in range(1, 10**6) if not (folder := Path("runs") / (name if i == 1 else f"{name}-{i}")).exists()
    )


@contextlib.contextmanager
def errors_shown(debug):
    """Errors and warnings as one sentence; exit code 2 for what the user can mend, 1 for failure, 128 + signal."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", KerastlWarning)
            yield
    except KeyboardInterrupt as stop:
        typer.echo(str(stop) or "interrupted", err=True)
        raise typer.Exit(128 + getattr(stop, "signum", signal.SIGINT)) from None
    except KerastlError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if debug:
            raise
        typer.echo(
            f"error: {type(error).__name__}: {error}\nThis is not a message made for you: --debug shows where it comes from.",
            err=True,
        )
        raise typer.Exit(1) from None


def main():
    app()


if __name__ == "__main__":
    sys.exit(main())
