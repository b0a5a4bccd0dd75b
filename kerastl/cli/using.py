"""Commands that use a model."""

from pathlib import Path
from typing import Annotated

import typer

from kerastl.cli.options import Debug, app, errors_shown
from kerastl.startup import start_tensorflow
from kerastl.tables import print_exports


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    formats: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="As keras,onnx,litert-int8; `kerastl keys` lists them, under export.formats (default: the recipe's).",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the files go (default: where the recipe says).")] = None,
    temperature: Annotated[
        bool | None,
        typer.Option("--temperature/--no-temperature", help="Divide by the fitted temperature inside the files."),
    ] = None,
    debug: Debug = False,
):
    """Write the model of a run in other formats; each is reloaded and compared before it is kept."""
    with errors_shown(debug):
        start_tensorflow()
        from kerastl.deploy.of_run import export_run

        folder, kept = export_run(run, formats and formats.split(","), out, temperature)
        print_exports(kept)
        typer.echo(f"exports: {folder} (labels.json, export.json)")
