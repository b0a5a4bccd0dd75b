"""What the commands share: the app, options that several have, the recipe they make, and how an error ends."""

import contextlib
import os
import platform
import re
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from kerastl import recipe as read_recipe
from kerastl.cli import completion
from kerastl.errors import KerastlError, KerastlWarning, UserError
from kerastl.files import of_the_system
from kerastl.recipe import parse_override
from kerastl.stopping import stop_signals
from kerastl.streams import takes_unicode, write_or_lose
from kerastl.text import json_line
from kerastl.voice import say, speaking, tell

UNEXPECTED = "Unexpected error; rerun with --debug for the traceback."


class Commands(TyperGroup):
    """The commands; ~ at the beginning of a path is the user's home also where the shell leaves it, as in --out=~/runs."""

    def parse_args(self, ctx, args):
        return super().parse_args(
            ctx, [re.sub("^(--[a-z-]+=|)(~(?:/.*)?)$", _at_home, it, flags=re.DOTALL) for it in args]
        )


def _at_home(found):
    return found[1] + os.path.expanduser(found[2])  # noqa: PTH111 (without a home folder it stays as it is)


BEGIN = """Begin with your own photos, one folder per class: kerastl train photos/ (--dry-run says what it would do).
Without photos: kerastl train quickstart. Whatever looks wrong with this machine: kerastl doctor."""

app = typer.Typer(cls=Commands, no_args_is_help=True, epilog=BEGIN)


def _show_version(wanted):
    if wanted:
        import kerastl

        say(f"kerastl {kerastl.__version__}, Python {platform.python_version()}")
        raise typer.Exit()


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
):
    """Transfer learning for image classification: recipes in, proven models out."""


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
Quiet = Annotated[bool, typer.Option("--quiet", help="Tell only the result, warnings and errors.")]
JsonLines = Annotated[
    bool, typer.Option("--json-lines", help="Tell what happens as JSON, one object a line, and nothing else.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def resolved(name, strategy, overrides, data_dir):
    """The recipe with all that the command line says about it."""
    return read_recipe(name, strategy=strategy, **values_of(overrides, data_dir))


def values_of(overrides, data_dir):
    """Dotted keys and values, as the command line gives them."""
    values = dict(map(parse_override, overrides or []))
    return values if data_dir is None else {**values, "data.dir": str(data_dir)}


@contextlib.contextmanager
def errors_shown(debug, quiet=False, json_lines=False):
    """Errors and warnings as one sentence; exit code 2 for what the user can mend, 1 for failure, 128 + signal.

    Args:
        debug: let errors through.
        quiet, json_lines: how the work is told of; as `speaking` where neither is asked for.
    """
    with speaking("json" if json_lines else "quiet" if quiet else None):
        try:
            with warnings.catch_warnings(), stop_signals():
                warnings.showwarning = _warning_told
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", KerastlWarning)
                if quiet and json_lines:
                    raise UserError("--quiet, --json-lines: found both; expected one of them")
                yield
        except KeyboardInterrupt as stop:
            code = 128 + getattr(stop, "signum", signal.SIGINT)
            raise _ended("stopped", str(stop) or "interrupted", "", code) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):  # Typer ends quietly where a reader has gone, as head does
            raise
        except Exception as error:
            if debug:
                raise
            ours = isinstance(error, KerastlError)
            if isinstance(error, OSError) and error.strerror:
                told = of_the_system(error)
            else:
                told = str(error) if ours else f"{type(error).__name__}: {error}\n{UNEXPECTED}"
            raise _ended("failed", told, "error: ", error.exit_code if ours else 1) from None


def _warning_told(message, *_):
    write_or_lose("stderr", lambda: say(f"warning: {message}", err=True))
    tell("warning", message=str(message))


def _ended(event, message, before, code):
    say(f"{before}{message}", err=True)
    tell(event, message=message, exit_code=code)
    return typer.Exit(code)


def broken_told(answers, counts):
    """The same answers, counted; the broken ones are named on the error output."""
    for answer in answers:
        counts["all"] += 1
        if answer.error:
            counts["broken"] += 1
            say(f"{answer.file}: {answer.error}", err=True)
        yield answer


def end_with(counts):
    """Exit code 1 where images were broken."""
    if counts["broken"]:
        say(f"error: {counts['broken']:,} of {counts['all']:,} images cannot be read", err=True)
        raise typer.Exit(1)


def as_row(answer, **more):
    """A line of JSON: the answer to one image, or why it cannot be read."""
    best = {"predictions": [{"class": name, "probability": short(p)} for name, p in best_of(answer)]}
    told = {"error": answer.error} if answer.error else best | more
    return json_line({"file": answer.file, **told}, letters=takes_unicode(sys.stdout))


def best_of(answer):
    return zip(answer.classes, answer.probabilities, strict=True)


def short(number):
    """Six digits, which is what single precision holds."""
    return float(f"{number:.6g}")
