"""What the command line prints: tables, what a check found, and the end of a run."""

import typer

SHOWN = 10  # rows of what may be thousands; --json has them all


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


def print_check(found):
    """What `kerastl check` found, and whether it can be trained on as it is."""
    print_table(
        ("split", "images", "smallest class", "largest class", "ratio"), map(split_row, found["splits"].items())
    )
    rows = list(zip(*(it["classes"].items() for it in found["splits"].values()), strict=True))
    rows = [(row[0][0], *(f"{n:,}" for _, n in row)) for row in sorted(rows, key=lambda row: row[0][1])]
    print_first("classes", ("class", *found["splits"]), rows)
    if all(found["sizes"].values()):
        print_table(("size", "min", "median", "max"), [(side, *it.values()) for side, it in found["sizes"].items()])
    for name in ("modes", "formats"):
        typer.echo(f"{name}: " + ", ".join(f"{what} {n:,}" for what, n in found[name].items()))
    for kind, counts in found["duplicates"].items():
        told = ", ".join(f"{n:,} {'within' if '-' not in where else 'between'} {where}" for where, n in counts.items())
        typer.echo(f"{kind} duplicates: {told or 'none'}")
    typer.echo(f"flat images: {found['flat']:,}; files that are no images: {found['ignored']:,}")
    print_first("broken", ("broken file", "why"), [tuple(it.values()) for it in found["broken"]])
    for title, key in (
        ("the same picture in two splits", "splits"),
        ("the same picture, labelled differently", "labels"),
    ):
        rows = [(*it["files"], " / ".join(it[key]), it["kind"]) for it in found["pairs"] if len(set(it[key])) > 1]
        print_first(title, (title, "", key, "duplicate"), rows)
    for sentence in found["refused"]:
        typer.echo(f"training would refuse it: {sentence}")
    typer.echo("usable as it is" if found["usable"] else "not usable as it is")


def split_row(pair):
    name, it = pair
    by_size = sorted(it["classes"].items(), key=lambda item: item[1])
    ends = [f"{by_size[end][0]} {by_size[end][1]:,}" if by_size else "-" for end in (0, -1)]
    return name, f"{it['images']:,}", *ends, it["balance"] or "-"


def print_first(title, header, rows):
    """A table of the first rows, and how many more there are; nothing where there are none."""
    if rows:
        print_table(header, rows[:SHOWN])
    if len(rows) > SHOWN:
        typer.echo(f"{title}: {len(rows) - SHOWN:,} more, see --json")


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
