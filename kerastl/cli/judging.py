"""Commands for after a training: how good a model is, and which of several is better."""

from pathlib import Path
from typing import Annotated

import typer

from kerastl.cli.completion import splits
from kerastl.cli.options import Debug, app, errors_shown
from kerastl.startup import start_tensorflow
from kerastl.tables import decimals, print_table


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="test, validation or train.", autocompletion=splits)] = "test",
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
