"""What scripts/train_cifar10.py and its sisters are: `kerastl train` for one dataset, with a default strategy."""

import builtins
import inspect
from typing import Annotated

import typer

from kerastl.cli.training import train
from kerastl.recipe import names
from kerastl.streams import prepare_streams

CHOSEN = ("recipe", "strategy", "minutes")  # options of `train` that a script decides itself


def train_script(dataset, strategy):
    """What scripts/train_cifar10.py and its sisters are.

    Args:
        dataset: the first part of the recipes' names.
        strategy: the default.
    """
    default = f"{dataset}-{strategy}"

    def main(
        strategy: Annotated[
            str, typer.Option(help=f"{', '.join(strategies_of(dataset))}, or any other strategy.")
        ] = strategy,
        sample: Annotated[
            bool, typer.Option("--sample", help="Train on the embedded sample instead: no download.")
        ] = False,
        **options,
    ):
        name, replaced = f"{dataset}-{strategy}", None
        if sample or name not in names():
            name, replaced = "quickstart" if sample else default, strategy
        if options["resume"] is not None:  # a run knows its recipe
            name, replaced = None, None
        train(name, strategy=replaced, **options)

    main.__doc__ = f"Train on {dataset}; `kerastl train` runs any recipe."
    main.__signature__ = _with_options_of(train, main)
    prepare_streams()
    try:
        typer.run(main)
    except SystemExit:
        if not hasattr(builtins, "get_ipython"):  # %run shows it, below the sentence that says what is wrong
            raise


def _with_options_of(command, main):
    """The signature of a script: its own options, then those of a command."""
    own = list(inspect.signature(main).parameters.values())[:-1]
    shared = [it for it in inspect.signature(command).parameters.values() if it.name not in CHOSEN]
    return inspect.Signature([*own, *shared])


def strategies_of(dataset):
    """The strategies for which the dataset has a recipe of its own."""
    return [name.removeprefix(f"{dataset}-") for name in names() if name.startswith(f"{dataset}-")]
