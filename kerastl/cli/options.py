"""What the commands share: the app, options that several have, the recipe they make, and how an error ends."""

import contextlib
import signal
import warnings
from pathlib import Path
from typing import Annotated

import typer

from kerastl import recipe as read_recipe
from kerastl.cli import completion
from kerastl.errors import KerastlError, KerastlWarning
from kerastl.recipe import parse_override

app = typer.Typer(
    help="Transfer learning for image classification: recipes in, proven models out.",
    no_args_is_help=True,
)

RecipeName = Annotated[
    str,
    typer.Argument(
        help="A recipe's name (see `kerastl recipes`), or the path of a TOML file.",
        metavar="RECIPE",
        autocompletion=completion.recipe_names,
    ),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        help="Replace the phases with those of a strategy, as freeze-first.", autocompletion=completion.strategies
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the recipe; see `kerastl keys`.",
        autocompletion=completion.assignments,
    ),
]
Out = Annotated[Path | None, typer.Option(help="Run folder (default: runs/NAME, numbered where it is taken).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder that holds the data.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan: who learns, how fast, how long. Nothing is trained.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def resolved(name, strategy, overrides, data_dir):
    """The recipe with all that the command line says about it."""
    values = dict(map(parse_override, overrides or []))
    if data_dir is not None:
        values["data.dir"] = str(data_dir)
    return read_recipe(name, strategy=strategy, **values)


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
    except (typer.Exit, typer.Abort, BrokenPipeError):  # Typer ends quietly where a reader has gone, as head does
        raise
    except Exception as error:
        if debug:
            raise
        typer.echo(
            f"error: {type(error).__name__}: {error}\nThis is not a message made for you: --debug shows where it comes from.",
            err=True,
        )
        raise typer.Exit(1) from None
