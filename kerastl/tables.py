"""What the command line prints: tables, what a check or the doctor found, and the end of a run."""

import shlex

from kerastl.errors import shortened
from kerastl.text import printable
from kerastl.voice import say

SHOWN = 10  # rows of what may be thousands; --json has them all


def print_table(header, rows):
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
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
        say(f"{name}: " + ", ".join(f"{what} {n:,}" for what, n in found[name].items()))
    for kind, counts in found["duplicates"].items():
        told = ", ".join(f"{n:,} {'within' if '-' not in where else 'between'} {where}" for where, n in counts.items())
        say(f"{kind} duplicates: {told or 'none'}")
    say(f"flat images: {found['flat']:,}; files that are no images: {found['ignored']:,}")
    print_first("broken", ("broken file", "why"), [tuple(it.values()) for it in found["broken"]])
    for title, key in (
        ("the same picture in two splits", "splits"),
        ("the same picture, labelled differently", "labels"),
    ):
        rows = [(*it["files"], " / ".join(it[key]), it["kind"]) for it in found["pairs"] if len(set(it[key])) > 1]
        print_first(title, (title, "", key, "duplicate"), rows)
    for sentence in shortened(found["left_out"]):
        say(f"left out or taken together: {sentence}")
    for sentence in shortened(found["refused"]):
        say(f"training would refuse it: {sentence}")
    say("usable as it is" if found["usable"] else "not usable as it is")


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
        say(f"{title}: {len(rows) - SHOWN:,} more, see --json")


def print_doctor(found):
    """What `kerastl doctor` found: versions, machine, folders, extras, speed, and what is wrong with the remedy."""
    print_table(("package", "version"), [(name, it or "not installed") for name, it in found["versions"].items()])
    machine = found["machine"]
    memory = "" if machine["memory"] is None else f", {machine['memory'] / 1e9:.1f} GB of memory"
    say(f"{machine['system']}; {machine['processor']}, {machine['cores']} cores{memory}")
    say(f"instructions: {' '.join(machine['instructions'] or ()) or 'unknown'}")
    say(f"devices TensorFlow sees: {', '.join(found['tensorflow']['devices']) or 'none'}")
    for device in machine["nvidia"]["devices"]:
        say(f"device nvidia-smi shows: {device}")
    rows = [(it["what"], it["path"], _gigabytes(it["bytes"]), _gigabytes(it["free"])) for it in found["places"]]
    print_table(("kept there", "folder", "holds", "disk has left"), rows)
    extras = (found["packages"] or {"extras": {}})["extras"]
    rows = [
        (name, ", ".join(it) or "nothing", f'pip install "kerastl[{name}]"' if it else "")
        for name, it in extras.items()
    ]
    print_table(("extra", "missing", "remedy"), rows)
    if speed := found["speed"]:
        say(
            f"{speed['network']} at {speed['image_size']} pixels, random weights, batch {speed['batch']}, {speed['precision']}: "
            f"forward {speed['forward']:.0f} images/s, training {speed['training']:.0f} images/s"
        )
    for it in found["problems"]:
        say(f"problem: {it['problem']}\n remedy: {it['remedy']}")
    for it in found["warnings"]:
        say(f"warning: {it['warning']}\n remedy: {it['remedy']}")
    if not found["problems"]:
        say("nothing wrong was found")


def _gigabytes(number):
    return f"{number / 1e9:.2f} GB"


def print_run(run):
    """The end of a run: how good, against what, and where everything is."""
    from kerastl.evaluate.metrics import shown

    print_table(*(against_baseline(run) if _both_on_test(run) else scores_by_split(run)))
    if "calibration" in run.metrics.get("test", {}):
        say(calibration_told(run.metrics))
    for name, pair in run.metrics["data"]["duplicates"].items():
        if pair["found"]:
            where = name.replace("-", " and ")
            say(f"exact duplicates between {where}: {pair['found']} found, {pair['removed']} removed")
    print_copies(run.metrics.get("trust", {}).get("test"))
    if coarse := run.metrics.get("test", {}).get("by_superclass"):
        say(f"test accuracy by superclass {shown(coarse | {'n': run.metrics['test']['n']})}")
    first = "report.html, " if run.recipe.evaluate.report else ""
    say(f"{run.metrics['seconds']:.0f} seconds in all; run: {run.folder} ({first}metrics.json, ...)")
    if run.exports and run.metrics["exports"]:
        files = ", ".join(it["file"] for it in run.metrics["exports"].values())
        say(f"exports: {run.exports} ({files}, labels.json)")
    say("\n".join(f"next: {step}" for step in _next_steps(run)))


def _next_steps(run):
    """What one may do with a finished run, as commands to copy."""
    if run.recipe.evaluate.report and "test" in run.metrics:
        yield f"open {run.folder / 'report.html'}"
    yield f"kerastl predict {shlex.quote(str(run.folder))} PHOTO.jpg"
    if run.exports:
        yield f"kerastl app --models {shlex.quote(str(run.exports.parent))}"


def _both_on_test(run):
    return run.baseline is not None and "test" in run.metrics and "test" in run.baseline.metrics


def print_seeds(done):
    """Each seed's scores, and what they say together."""
    from kerastl.evaluate.metrics import shown, shown_spread

    rows = []
    for run, it in zip(done.summary["runs"], done.metrics, strict=True):
        validation, test = (it.get(split) for split in ("validation", "test"))
        rows.append((run, *(shown(split) if split else "-" for split in (validation, test)), f"{it['seconds']:.0f}"))
    print_table(("run", "validation accuracy [95% interval]", "test accuracy [95% interval]", "seconds"), rows)
    for split in ("validation", "test"):
        if split in done.summary:
            told = shown_spread(done.summary[split]["accuracy"])
            say(f"{split} accuracy, mean ± standard deviation [95% interval of the mean]: {told}")
    say(f"all seeds: {done.folder} (seeds.json, seeds.png, {', '.join(done.summary['runs'])})")


def print_comparison(found):
    """How good each is, at what cost, and what the tests of every two show."""
    from kerastl.evaluate.compare import COSTS, PAIRS, SCORES, TRAINING

    for columns in (SCORES, TRAINING, COSTS):
        print_table(columns, [[column(it) for column in columns.values()] for it in found.compared])
    print_table(PAIRS, [[column(pair) for column in PAIRS.values()] for pair in found.pairs])
    for sentence in found.notes:
        say(sentence)


def print_copies(found):
    """The score without the test images that were trained on; nothing where there are none."""
    from kerastl.evaluate.metrics import shown

    if found and (found["exact"] or found["near"]):
        kinds = ", ".join(f"{found[kind]} {kind}" for kind in ("exact", "near") if found[kind] is not None)
        left = found["without_duplicates"]
        left = shown(left) if left else "none is left"
        say(f"test images that are among the training images: {kinds} copies; without them {left}")


def print_exports(kept):
    """What was exported, and how near each file is to the model, how large and how quick."""
    columns = (
        "format",
        "file",
        "MB",
        "max difference",
        "same top class",
        "ms for 1",
        "ms for 32",
        "test accuracy (lost)",
    )
    rows = []
    for name, it in kept.items():
        test = "{accuracy:.4f} ({accuracy_lost:+.4f})".format(**it["test"]) if "test" in it else "-"
        times = (f"{it[f'milliseconds_{size}']:.1f}" for size in (1, 32))
        rows.append(
            (name, it["file"], it["megabytes"], f"{it['max_difference']:.1e}", f"{it['agreement']:.1%}", *times, test)
        )
    print_table(columns, rows)


def print_speeds(speeds):
    """How long each phase will take, and all of them."""
    columns = ("phase", "precision", "features s", "start s", "step ms", "its data ms", "validation s", "phase s")
    rows = []
    for it in speeds:
        seconds = (it.features, it.start, 1e3 * it.step, 1e3 * it.data, it.validation, it.seconds)
        rows.append((it.name, it.precision, *(f"{number:.1f}" for number in seconds)))
    print_table(columns, rows)
    total = sum(it.seconds for it in speeds)
    say(f"{total:.0f} seconds of training; features counted as if none were cached yet")


def print_rates(tests):
    """What each phase can bear."""
    rows = [
        (it.phase, it.name, multiplied(it, 1.0), *(multiplied(it, factor) for factor in it.suggestions.values()))
        for it in tests
    ]
    print_table(("phase", "name", "recipe", *tests[0].suggestions), rows)
    say(
        "steepest: where the smoothed loss falls fastest; min/10: a tenth of where it is lowest; -: it never fell. Each phase was "
        "tested from the weights the recipe begins with; the rates are those of the steps, train.learning_rate_scale included"
    )


def multiplied(test, factor):
    """The learning rates of a phase times a factor."""
    if factor is None:
        return "-"
    rates = {group: f"{rate * factor:.1e}" for group, rate in test.rates.items()}
    return rates.popitem()[1] if len(set(rates.values())) == 1 else ", ".join(map(" ".join, rates.items()))


def print_sweep(done):
    """Every setting, and how the winner does on test."""
    from kerastl.evaluate.metrics import shown

    keys = list(done.winner)[: list(done.winner).index("state")]
    rows = []
    for row in done.rows:
        accuracy = decimals(row["val_accuracy"])
        if row["val_low"] is not None:
            accuracy += f" [{row['val_low']:.4f}, {row['val_high']:.4f}]"
        seconds = "-" if row["seconds"] is None else f"{row['seconds']:.0f}"
        rows.append((*(row[key] for key in keys), row["state"], accuracy, row["epochs"] or "-", seconds))
    print_table((*keys, "state", "validation accuracy [95% interval]", "epochs", "seconds"), rows)
    for row in done.rows:
        if row["why"]:
            say(", ".join(f"{key} = {row[key]}" for key in keys) + f" failed: {row['why']}")
    told = ", ".join(f"{key} = {done.winner[key]}" for key in keys)
    say(f"winner, trained again on train + validation: {told}")
    if done.final:
        print_run(done.final)
    else:
        say(f"test accuracy {shown(done.test)}, in {done.test['run']}")


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


def calibration_told(metrics):
    """How far the confidence is off on test images, and what a temperature makes of it, or why there is none."""
    found, fitted = metrics["test"]["calibration"], metrics["temperature"]
    told = f"expected calibration error on test: {_error_told(found)}"
    if not fitted:
        return f"{told}; no temperature: there are no validation images to fit one on"
    if not fitted["value"]:
        return f"{told}; no temperature: {fitted['why']}"
    where = f"fitted on {fitted['n']:,} {fitted['fitted_on']} images"
    return f"{told}; with temperature {fitted['value']:.3g} ({where}): {_error_told(found['tempered'])}"


def _error_told(found):
    return "{:.4f} [{:.4f}, {:.4f}]".format(found["ece"], *found["ece_interval"])


def decimals(number):
    return "-" if number is None else f"{number:.4f}"
