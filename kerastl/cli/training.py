"""Commands that train: one recipe, in one process or several, or many settings of it."""

from pathlib import Path
from typing import Annotated

import typer

from kerastl.cli import completion
from kerastl.cli.options import (
    DataDir,
    Debug,
    DryRun,
    JsonLines,
    Out,
    Overrides,
    Quiet,
    RecipeName,
    Strategy,
    app,
    errors_shown,
    resolved,
    values_of,
)
from kerastl.errors import KerastlError, RecipeError, UserError
from kerastl.files import refuse_links
from kerastl.outputs import check_outputs, free_folder
from kerastl.recipe import as_begun, is_data
from kerastl.space import make_space, parse_over, parse_search
from kerastl.startup import start_tensorflow
from kerastl.tables import print_run, print_seeds, print_sweep
from kerastl.voice import say, tell, to_people


@app.command()
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A folder of photos, one sub-folder per class, or the name of a dataset, for which a recipe is chosen; or a "
            "recipe's name or TOML file. Not needed with --resume.",
            metavar="WHAT",
            autocompletion=completion.recipe_names,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Of a folder or dataset: be ready, report included, in so many minutes (default: as long as it pays, 30 at most).",
        ),
    ] = None,
    strategy: Strategy = None,
    overrides: Overrides = None,
    out: Out = None,
    data_dir: DataDir = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder, wherever it was killed.", metavar="RUN")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Train so many times, with the recipe's seed and those that follow.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --resume: also with other package versions or rates.")
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json_lines: JsonLines = False,
    debug: Debug = False,
):
    """Train on photos or a dataset with a recipe that is chosen for them, or as a recipe says; or go on with a run that was killed."""
    with errors_shown(debug, quiet, json_lines):
        if resume is not None and out is not None:
            raise RecipeError("--out: a resumed run goes on in its own folder; expected --resume RUN alone")
        if resume is not None and data_dir is not None:
            data_dir = data_dir.absolute()  # other relative paths are meant from where the run was begun
        if recipe and is_data(recipe) and resume is not None and (resume / "recipe.toml").is_file():
            recipe = None  # it was chosen when the run began
        if recipe and is_data(recipe):
            spec = chosen(recipe, minutes, strategy, values_of(overrides, data_dir))
        elif minutes:
            raise RecipeError("--minutes: is for a folder or dataset; expected --set train.minutes=N with a recipe")
        else:
            spec = resolved(recipe or recipe_of(resume), strategy, overrides, data_dir)
        run_recipe(spec, resume or out, dry_run, seeds, resume=resume is not None, force=force)


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


@app.command()
def sweep(
    recipe: RecipeName,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,C",
            help="Values to try for a dotted key; several make a grid.",
            autocompletion=completion.assignments,
        ),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=LOW..HIGH[:log]",
            help="Instead: draw a dotted key from a range, or from values A,B,C.",
            autocompletion=completion.assignments,
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
    quiet: Quiet = False,
    json_lines: JsonLines = False,
    debug: Debug = False,
):
    """Try several values, choose on validation, retrain the winner on train + validation, score it on test once.

    The same command with the same --out, or the same --storage, goes on with a sweep, or helps with it.
    """
    with errors_shown(debug, quiet, json_lines):
        base = resolved(recipe, strategy, overrides, data_dir)
        folder = out or free_folder(f"{base.name}-sweep")
        check_outputs(base, folder)
        over, search = dict(map(parse_over, over or [])), dict(map(parse_search, search or []))
        make_space(base, over, search, trials)
        start_tensorflow()
        from kerastl.sweeps import sweep as run_sweep

        try:
            done = run_sweep(base, over, folder, search=search, trials=trials, storage=storage)
        except KeyboardInterrupt as stop:
            stop.args = (f"{str(stop) or 'interrupted'}; to go on: the same command with --out {folder}",)
            raise
        if to_people():
            print_sweep(done)


def chosen(source, minutes, strategy, values):
    """The automatic recipe for a folder or dataset."""
    start_tensorflow()
    from kerastl.auto import automatic

    return automatic(source, minutes, strategy, **values)


def recipe_of(run):
    """The file with the recipe of a run that is to be resumed."""
    if run is None:
        raise RecipeError(
            "found no RECIPE; expected a name (see `kerastl recipes`), the path of a TOML file, or --resume RUN"
        )
    refuse_links(run)
    if not (run / "recipe.toml").is_file():
        raise UserError(f"{run}: holds no run; expected a folder with a recipe.toml, as kerastl train writes it")
    return run / "recipe.toml"


def run_recipe(spec, out, dry, seeds=None, **how):
    folder = out or free_folder(spec.name)
    if not dry:
        check_outputs(as_begun(spec, folder), folder)
    told = start_tensorflow()
    if dry:
        from kerastl.preview import dry_run
        from kerastl.train.describe import describe

        plans, data = dry_run(spec)
        tell(
            "plan",
            recipe=spec.name,
            phases=[{"name": it.phase.name, "steps": it.steps, "rates": it.rates} for it in plans],
        )
        if to_people():
            say(f"{spec.name}: {spec.description}\n{data}\n\n{describe(plans)}")
        return
    from kerastl.run import train as run_train
    from kerastl.seeds import seeds_begun, train_seeds
    from kerastl.train.devices import described, worker

    if out is None and worker()[1] > 1:
        raise UserError("--out: several workers have to agree on the run folder; expected --out DIR or --resume RUN")
    tell(
        "devices", f"{spec.name} -> {folder}, {told}; {described(spec.train.devices)}", on=described(spec.train.devices)
    )
    try:
        seeds = seeds or seeds_begun(folder)
        done = train_seeds(spec, folder, seeds, **how) if seeds else run_train(spec, folder, **how)
    except KeyboardInterrupt as stop:
        stop.args = (f"{str(stop) or 'interrupted'}; to go on: kerastl train --resume {folder}",)
        raise
    if to_people():
        print_seeds(done) if seeds else print_run(done)
    for metrics in done.metrics if seeds else (done.metrics,):
        if failed := metrics.get("failed"):
            raise KerastlError(
                f"trained and saved, but for {', '.join(failed)} (metrics.json says why); kerastl train --resume {folder} does that again"
            )
