"""Commands for after a training: how good a model is, why it answers as it does, and which of several is better."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from kerastl.cli.completion import splits
from kerastl.cli.options import Debug, JsonLines, Quiet, app, as_row, broken_told, end_with, errors_shown, short
from kerastl.outputs import check_file, check_folder
from kerastl.startup import start_tensorflow
from kerastl.tables import decimals, print_comparison, print_copies, print_table
from kerastl.voice import say, to_people


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="test, validation or train.", autocompletion=splits)] = "test",
    quiet: Quiet = False,
    json_lines: JsonLines = False,
    debug: Debug = False,
):
    """Judge the model of a finished run again."""
    with errors_shown(debug, quiet, json_lines):
        start_tensorflow()
        from kerastl.evaluate.metrics import shown
        from kerastl.evaluate_run import judge_again

        report, copies = judge_again(run, split)
        if not to_people():
            return
        low, high = report.loss_interval
        loss = f"loss {report.loss:.4f} [{low:.4f}, {high:.4f}]"
        say(f"{split} accuracy {shown(report)}, {loss}, top-5 {decimals(report.top5)}")
        print_copies(copies)
        rows = [
            (c["name"], c["n"], f"{c['precision']:.3f}", f"{c['recall']:.3f}", f"{c['f1']:.3f}")
            for c in report.per_class
        ]
        print_table(("class", "n", "precision", "recall", "f1"), rows)


@app.command()
def explain(
    model: Annotated[Path, typer.Argument(help="A run folder, or a .keras or .h5 file.", metavar="MODEL")],
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, or folders, which are searched at any depth.", metavar="IMAGE_OR_FOLDER..."),
    ],
    layer: Annotated[str | None, typer.Option(help="Whose maps (default: the last before the features).")] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Whose evidence (default: the answer).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for a picture of each image.")] = Path("explanations"),
    similar: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Run whose training images are searched (default: the model's own)."),
    ] = None,
    neighbours: Annotated[int, typer.Option(min=0, help="How many similar training images.")] = 5,
    top: Annotated[int, typer.Option(min=1, help="How many classes, the most probable first.")] = 5,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Show why a model answers as it does: where it looks, and which training images are most alike to it.

    Prints a line of JSON for each image; ends with 1 where some of them are broken.
    """
    with errors_shown(debug, quiet):
        from kerastl.data.walk import refuse_missing

        for path in images:
            refuse_missing(path)
        check_folder(out)
        start_tensorflow()
        from kerastl.deploy.explain import explain_stream

        how = {"class_name": class_name, "layer": layer, "similar": similar, "neighbours": neighbours, "top": top}
        counts = Counter()
        for it in broken_told(explain_stream(model, images, out, **how), counts):
            alike = [{"image": n.image, "label": n.label, "similarity": short(n.similarity)} for n in it.neighbours]
            say(as_row(it, explained=it.explained, picture=str(it.picture), similar=alike))
        end_with(counts)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    debug: Debug = False,
):
    """Write report.html of a finished run anew: the page to open first."""
    with errors_shown(debug):
        if run.is_dir():
            check_folder(run, "RUN", "expected a run folder that can be written to: copy it to one")
        start_tensorflow()
        from kerastl.evaluate.report import report as write

        say(f"report: {write(run)}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more folders of runs, or of seeds.", metavar="RUN...")],
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("compare.html"),
    figure: Annotated[Path, typer.Option(help="Where the overlaid curves go.")] = Path("compare.png"),
    debug: Debug = False,
):
    """Set finished runs side by side, and test which is better on the same test images."""
    with errors_shown(debug):
        check_file(out)
        check_file(figure, "--figure")
        start_tensorflow()
        from kerastl.evaluate.compare import compare as side_by_side
        from kerastl.evaluate.compare_page import write_page

        found = side_by_side(runs, figure)
        print_comparison(found)
        write_page(found, out)
        say(f"page: {out}; curves: {figure}")
