"""What scripts/train_cifar10.py and its sisters are: `kerastl train` for one dataset, with a default strategy."""

from typing import Annotated

import typer

from kerastl.cli.options import DataDir, Debug, DryRun, Out, Overrides, errors_shown, resolved
from kerastl.cli.training import run_recipe
from kerastl.recipe import names


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
        overrides: Overrides = None,
        out: Out = None,
        data_dir: DataDir = None,
        dry_run: DryRun = False,
        debug: Debug = False,
    ):
        with errors_shown(debug):
            name, replaced = f"{dataset}-{strategy}", None
            if sample or name not in names():
                name, replaced = "quickstart" if sample else default, strategy
            run_recipe(resolved(name, replaced, overrides, data_dir), out, dry_run)

    main.__doc__ = f"Train on {dataset}; `kerastl train` runs any recipe."
    typer.run(main)


def strategies_of(dataset):
    """The strategies for which the dataset has a recipe of its own."""
    return [name.removeprefix(f"{dataset}-") for name in names() if name.startswith(f"{dataset}-")]
