"""Commands for after a training: how good a model is, and which of several is better."""

from pathlib import Path
from typing import Annotated

import typer

from kerastl.cli.options import Debug, app, errors_shown
from kerastl.startup import start_tensorflow
from kerastl.tables import decimals, print_comparison, print_copies, print_table


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
        from kerastl.run import judge_again

        report, copies = judge_again(run, split)
        low, high = report.loss_interval
        loss = f"loss {report.loss:.4f} [{low:.4f}, {high:.4f}]"
        typer.echo(f"{split} accuracy {shown(report)}, {loss}, top-5 {decimals(report.top5)}")
        print_copies(copies)
        rows = [
            (c["name"], c["n"], f"{c['precision']:.3f}", f"{c['recall']:.3f}", f"{c['f1']:.3f}")
            for c in report.per_class
        ]
        print_table(("class", "n", "precision", "recall", "f1"), rows)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    debug: Debug = False,
):
    """Write report.html of a finished run anew: the page to open first."""
    with errors_shown(debug):
        start_tensorflow()
        from kerastl.evaluate.report import report as write

        typer.echo(f"report: {write(run)}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more folders of runs, or of seeds.", metavar="RUN...")],
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("compare.html"),
    figure: Annotated[Path, typer.Option(help="Where the overlaid curves go.")] = Path("compare.png"),
    debug: Debug = False,
):
    """Set finished runs side by side, and test which is better on the same test images."""
    with errors_shown(debug):
        start_tensorflow()
        from kerastl.evaluate.compare import compare as side_by_side
        from kerastl.evaluate.compare_page import write_page

        found = side_by_side(runs, figure)
        print_comparison(found)
        write_page(found, out)
        typer.echo(f"page: {out}; curves: {figure}")
