"""Commands that use a model: answers to images, on the command line or on a page, and other formats."""

import contextlib
import csv
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from kerastl.cli import completion
from kerastl.cli.options import (
    Debug,
    JsonLines,
    Quiet,
    app,
    as_row,
    best_of,
    broken_told,
    end_with,
    errors_shown,
    short,
)
from kerastl.errors import UserError
from kerastl.files import disk_told, whole
from kerastl.outputs import check_file, check_folder
from kerastl.startup import start_tensorflow
from kerastl.tables import print_exports
from kerastl.text import printable
from kerastl.voice import Bar, draws, say, tell, to_people


@app.command()
def predict(
    model: Annotated[
        Path,
        typer.Argument(help="A run folder, a SavedModel, or a .keras, .h5, .onnx or .tflite file.", metavar="MODEL"),
    ],
    images: Annotated[
        list[Path],
        typer.Argument(help="Images, or folders, which are searched at any depth.", metavar="IMAGE_OR_FOLDER..."),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes, the most probable first.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Images that the model is given at once.")] = 64,
    flip: Annotated[bool, typer.Option("--flip", help="Answer by the mean with the mirror image.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the answers into a file.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
):
    """Say what is in images; ends with 1 where some of them are broken."""
    with errors_shown(debug, quiet):
        if as_json and as_csv:
            raise UserError("found --json and --csv; expected one of them, or neither")
        from kerastl.data.walk import refuse_missing

        for path in images:
            refuse_missing(path)
        if out and not out.absolute().parent.is_dir():
            raise UserError(f"--out {out}: no folder {out.parent}; expected a file in one that is there")
        if out:
            check_file(out)
        start_tensorflow()
        from kerastl.deploy.classifier import open_model, part_seen
        from kerastl.deploy.predict import predict_stream

        classifier = open_model(model)
        height, width = classifier.size
        tell("model", f"{model} looks at {part_seen(classifier.size)} of each picture, at {width} x {height} pixels")
        top = min(top, len(classifier.class_names))
        answers = predict_stream(classifier, images, top=top, batch=batch, flip=flip)
        if out or not sys.stdout.isatty():
            answers = _under_bar(answers, images)
        counts = Counter()
        write = _write_json if as_json else _write_csv if as_csv else _write_lines
        with _written(out) if out else contextlib.nullcontext(sys.stdout) as file:
            write(broken_told(answers, counts), file, top)
        end_with(counts)


@app.command("app")
def show_app(
    models: Annotated[Path, typer.Option(help="Folder with run folders or exports.")] = Path("saved_models"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the page is.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; with 0.0.0.0, whoever reaches this machine can use the page.")
    ] = "127.0.0.1",
    debug: Debug = False,
):
    """Open a web page on which pictures are dropped and answers appear; nothing leaves this machine."""
    with errors_shown(debug):
        start_tensorflow()
        from kerastl.deploy.gallery import models_in
        from kerastl.deploy.server import serve

        say(f"http://{host}:{port} shows {', '.join(models_in(models))}; Ctrl-C ends it", err=True)
        serve(models, host, port)


@contextlib.contextmanager
def _written(path):
    with disk_told(path.parent), whole(path) as temporary, _opened(temporary) as file:
        yield file


def _opened(path):
    """For names that are not UTF-8 as well: their bytes are escapes."""
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")


def _under_bar(answers, images):
    """The same answers, under a bar that begins before all images are found."""
    from kerastl.deploy.predict import named

    bar = Bar()
    bar.open("predict", None)
    if draws():
        threading.Thread(target=lambda: bar.expect(sum(1 for _ in named(images))), daemon=True).start()
    try:
        for answer in answers:
            bar.advance()
            yield answer
    finally:
        bar.close()


def _write_lines(answers, file, top):
    for answer in answers:
        if not answer.error:
            told = ", ".join(f"{name} {100 * p:.1f}%" for name, p in best_of(answer))
            file.write(printable(f"{answer.file}: {told}") + "\n")


def _write_json(answers, file, top):
    for answer in answers:
        file.write(as_row(answer) + "\n")


def _write_csv(answers, file, top):
    rows = csv.writer(file, lineterminator="\n")
    ranks = [f"{what}_{place}" for place in range(1, top + 1) for what in ("class", "probability")]
    rows.writerow(["file", *ranks, "error"])
    clean = printable if file.isatty() else str
    for answer in answers:
        best = [cell for name, p in best_of(answer) for cell in (name, short(p))] or [""] * len(ranks)
        rows.writerow([clean(str(cell)) for cell in (answer.file, *best, answer.error or "")])


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    formats: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="As keras,onnx,litert-int8; `kerastl keys` lists them, under export.formats (default: the recipe's).",
            autocompletion=completion.formats,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the files go (default: where the recipe says).")] = None,
    temperature: Annotated[
        bool | None,
        typer.Option("--temperature/--no-temperature", help="Divide by the fitted temperature inside the files."),
    ] = None,
    quiet: Quiet = False,
    json_lines: JsonLines = False,
    debug: Debug = False,
):
    """Write the model of a run in other formats; each is reloaded and compared before it is kept."""
    with errors_shown(debug, quiet, json_lines):
        if out:
            check_folder(out)
        start_tensorflow()
        from kerastl.deploy.of_run import export_run

        folder, kept = export_run(run, formats and formats.split(","), out, temperature)
        tell("exported", run=str(run), folder=str(folder), files=[it["file"] for it in kept.values()], formats=kept)
        if to_people():
            print_exports(kept)
            say(f"exports: {folder} (labels.json, export.json)")
