"""What the command line prints: tables, and the end of a run."""

import typer


def print_table(header, rows):
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 220
    console.print(table)


def print_run(run):
    """The end of a run: how good, against what, and where everything is."""
    print_table(*(against_baseline(run) if run.baseline else scores_by_split(run)))
    for name, pair in run.metrics["data"]["duplicates"].items():
        if pair["found"]:
            where = name.replace("-", " and ")
            typer.echo(f"exact duplicates between {where}: {pair['found']} found, {pair['removed']} removed")
    typer.echo(f"{run.metrics['seconds']:.0f} seconds in all; run: {run.folder} (metrics.json, curves.png, ...)")
    if run.exports:
        files = ", ".join(it["file"] for it in run.metrics["exports"].values())
        typer.echo(f"exports: {run.exports} ({files}, labels.json)")


def scores_by_split(run):
    """Header and rows: train as it was on the way, validation and test as judged at the end."""
    from kerastl.evaluate.metrics import shown

    splits = [(name, run.metrics[name]) for name in ("train", "validation", "test") if name in run.metrics]
    rows = [(name, shown(it), f"{it['loss']:.4f}", decimals(it.get("top5"))) for name, it in splits]
    return ("split (train: while training)", "accuracy [95% interval]", "loss", "top-5"), rows


def against_baseline(run):
    """Header and rows: the run and its baseline on the same test images."""
    from kerastl.evaluate.metrics import shown

    other = "from scratch" if run.baseline.recipe.model.weights == "none" else "baseline"
    rows = []
    for name, metrics in (("transferred", run.metrics), (other, run.baseline.metrics)):
        training = sum(phase["seconds"] for phase in metrics["phases"])
        rows.append((name, shown(metrics["test"]), f"{metrics['test']['loss']:.4f}", f"{training:.0f}"))
    images = f"{run.recipe.data.name}, {run.metrics['data']['train']} images"
    return (images, "test accuracy [95% interval]", "loss", "training seconds"), rows


def decimals(number):
    return "-" if number is None else f"{number:.4f}"
