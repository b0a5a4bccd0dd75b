"""A run: a recipe taken through all the rooms, and the folder it leaves behind."""

import shutil
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import tensorflow as tf

from kerastl import strict
from kerastl.auto import automatic
from kerastl.circumstances import git_revision, machine, peak_memory, versions
from kerastl.data.load import load
from kerastl.deploy.card import write_card
from kerastl.deploy.export import save_keras
from kerastl.deploy.formats import check_formats
from kerastl.deploy.of_run import PROOF, export_in_place, spread
from kerastl.errors import ExportError, KerastlWarning, UserError
from kerastl.evaluate.report import PAGE, report
from kerastl.evaluate.verdict import headline, judge_splits
from kerastl.evaluate_run import evaluate as evaluate
from kerastl.evaluate_run import judge_again as judge_again
from kerastl.files import disk_told, locked, refuse_links, sweep_up, write_json, write_text
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.model.untrusted import load_untrusted
from kerastl.outputs import check_folder, check_outputs, exports_of, free_folder, run_id, told_taken
from kerastl.parts import Parts
from kerastl.recipe import Recipe, as_begun, is_data, override, recipe, to_toml
from kerastl.resume import begin, begun, check, finished, origin
from kerastl.run_folder import read_metrics
from kerastl.stopping import stop_signals
from kerastl.train.describe import describe, tabulate
from kerastl.train.devices import described, refuse_others, strategy_for, worker
from kerastl.train.fit import fit
from kerastl.train.plan import plan
from kerastl.train.state import forget
from kerastl.train.trackers import check_trackers, tracked
from kerastl.voice import speaking, tell


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        folder: what it wrote; see the README.
        recipe: the `Recipe`, with its phases spelled out.
        model: a plain `keras.Model` from raw pixels to probabilities.
        metrics: what metrics.json holds.
        exports: the folder with the exported files, or None.
        baseline: the `Run` of the recipe's baseline, or None.
    """

    folder: Path
    recipe: Recipe
    model: keras.Model
    metrics: dict
    exports: Path | None = None
    baseline: "Run | None" = None


def train(spec, out=None, *, score_test=True, resume=False, force=False, on_epoch=None, progress=None):
    """Train, judge and save what a recipe describes.

    Once the model is trained and saved, nothing of what follows can lose the run: judging on each split, pictures, exports, card,
    baseline and report are parts that stand alone. One that fails is a warning and an entry of `metrics["failed"]`, and
    `resume` does it again.

    Args:
        spec: a `Recipe`, the name of one, or the path of a TOML file; or data for which one is chosen (`automatic`): a folder of
            class folders, the name of a dataset, or arrays (images, labels), see `folder_of_arrays`.
        out: run folder; made where it is missing, refused where it holds another run. None: runs/NAME, numbered where it is taken.
        score_test: False leaves the test split alone and exports nothing: for sweeps, which choose on validation.
        resume: go on with the run in the folder, which may have been killed at any moment: on the CPU with
            `train.deterministic` it ends with the same bits as if it had not been. A finished run is given back, an empty
            folder begun.
        force: with resume, go on though package versions, or keys that leave the state usable, are not those it was begun
            with; the bits then differ.
        on_epoch: a function that is called after each epoch with the rows of history.csv so far; what it raises ends the run.
        progress: how it is told of: bar, lines, json or quiet, as in `speaking`; None: as around the call, which is bar.

    Returns:
        A `Run`.

    Raises:
        UserError: a recipe, data or weights that the user can mend, a folder that is taken, or a run that was begun otherwise.
        KerastlError: the training diverged, or the disk is full.
        Stopped: the process was asked to end (Ctrl-C, SIGTERM), and the state is kept.

    Example:
        >>> run = train("quickstart", "runs/first")  # doctest: +SKIP
        >>> run.metrics["test"]["accuracy"]  # doctest: +SKIP
        0.93
    """
    if not isinstance(spec, Recipe):
        kept = Path(out or "") / "recipe.toml"
        if resume and is_data(spec) and kept.is_file():  # it was chosen when the run began
            spec = kept
        with speaking(progress):
            spec = automatic(spec) if is_data(spec) else recipe(spec)
    folder = Path(out) if out else free_folder(spec.name)
    check_trackers(spec)
    check_formats(spec.export.formats)
    if not worker()[0]:
        check_folder(folder)
    refuse_links(folder)
    strategy = strategy_for(spec.train.devices)  # several workers have to meet before anything is computed
    ended, goes_on = finished(folder), resume and begun(folder)
    refuse_others(strategy, [_same_everywhere(spec), score_test, resume, force, ended, goes_on])
    spec = as_begun(spec, folder) if resume else spec
    if worker()[0]:
        return _read(folder, spec) if ended and resume else _follow(spec, folder, score_test, resume, goes_on, force)
    with speaking(progress), disk_told(folder), stop_signals(), locked(folder):
        sweep_up(folder)
        if finished(folder) and resume:
            return _ended(_read(folder, spec))
        _check_places(spec, folder, score_test)
        if not resume and (finished(folder) or begun(folder)):
            remedy = "name a new folder (--out)" + (
                "" if finished(folder) else f", or go on with it (--resume {folder})"
            )
            raise UserError(f"{folder}: holds a run already; {remedy}")
        run, data = _train(spec, folder, score_test, resume and begun(folder), force, on_epoch)
        parts = Parts(run.metrics.pop("failed", {}))
        if spec.baseline and score_test:
            with parts.alone("baseline"):
                run = replace(run, baseline=train(_baseline_of(spec), folder / "baseline", resume=resume, force=force))
                parts.failed |= {
                    f"baseline, {name}": why for name, why in run.baseline.metrics.get("failed", {}).items()
                }
        if spec.evaluate.report and score_test:
            with parts.alone(PAGE):
                page = report(folder, data, run.model)
                if run.exports:  # so that `kerastl app` has it too
                    write_text(run.exports / page.name, page.read_text(encoding="utf-8"))
        if parts.failed:  # the state stays: --resume does these parts again
            run.metrics["failed"] = parts.failed
            write_json(folder / "metrics.json", run.metrics)
        else:
            forget(folder)
        return _ended(run)


def _same_everywhere(spec):
    """What of a recipe is the same on all machines."""
    table = strict.dump(spec)
    return {**table, "data": {**table["data"], "dir": ""}, "export": {**table["export"], "folder": ""}}


def _follow(spec, folder, score_test, resume, goes_on, force):
    """What every worker but the first does: the same, in a folder of its own that does not stay."""
    spec = replace(spec, train=replace(spec.train, trackers=()))
    with speaking("quiet"), tempfile.TemporaryDirectory() as own, stop_signals():
        for part in ("state", "checkpoints"):
            if goes_on and (folder / part).is_dir():
                shutil.copytree(folder / part, Path(own) / part)
        run, _ = _train(spec, Path(own), False, goes_on, force, None)
    if spec.baseline and score_test:
        train(_baseline_of(spec), folder / "baseline", resume=resume, force=force)
    return run


def _train(spec, folder, score_test, resume, force, on_epoch):
    began = time.perf_counter()
    keras.utils.set_random_seed(spec.seed)
    if spec.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    data = load(spec.data, spec.model.image_size, spec.seed)
    model = build_model(spec.model, data.shape, len(data.class_names))
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, data.counts)
    beginning = origin(spec, data, model)
    if resume:
        check(folder, beginning, force)
    else:
        _open(folder, spec, plans, beginning)
    told = {"recipe": spec.name, "phases": [it.phase.name for it in plans], "resumed": resume}
    tell("start", run=str(folder), **told, steps=sum(it.steps for it in plans))
    with tracked(spec, folder) as followers:
        seen_by = [followers.epochs, *([on_epoch] if on_epoch else [])]
        here = time.perf_counter()
        phases = fit(model, data, spec, plans, groups, folder, resume, lambda rows: [see(rows) for see in seen_by])
        here = time.perf_counter() - here
        began -= max(0.0, sum(it["seconds"] for it in phases) - here)  # what processes spent that were killed
        save_keras(model, folder / "model.keras", spread(data.train, PROOF))
        metrics = judge_splits(model, data, spec, folder, phases, score_test)
        labels = _labels(data, metrics["temperature"])
        write_json(folder / "labels.json", labels)
        tell("judged", run=str(folder), **headline(metrics))
        metrics |= _circumstances(spec, data, model, plans, phases, beginning)
        metrics["seconds"] = round(time.perf_counter() - began, 1)
        write_json(folder / "metrics.json", metrics)  # before the exports: should one of them fail, the rest is there
        metrics["run"], exports = run_id(folder), None
        if spec.export.formats and score_test:
            parts, metrics["exports"] = Parts(metrics.get("failed", {})), {}
            with parts.alone("exports"):
                exports, metrics["exports"] = _export(model, data, labels, metrics, spec, parts)
                metrics["exports_folder"] = str(exports)
                tell("exported", run=str(folder), folder=str(exports), files=_files(metrics))
            metrics |= {"failed": parts.failed} if parts.failed else {}
            write_json(folder / "metrics.json", metrics)
        followers.finish({**headline(metrics), "seconds": metrics["seconds"]}, _files(metrics))
    return Run(folder, spec, model, metrics, exports), data


def _export(model, data, labels, metrics, spec, parts):
    """Where the exports are, and those that were kept; a format that was not, and the card, are parts of their own."""
    run = metrics["run"]
    how = {"formats": spec.export.formats, "temperature": spec.export.temperature, "run": run}
    try:
        folder, kept = export_in_place(spec, model, data, labels, metrics, **how)
    except ExportError as error:
        folder, kept, parts.failed["exports"] = exports_of(spec, run), error.kept, str(error)
        warnings.warn(f"{error}; the run goes on without it", KerastlWarning, stacklevel=2)
    with parts.alone("model card"):
        write_card(folder, model, metrics, kept)
    return folder, kept


def _read(folder, spec):
    """A finished run, as it was given when it ended."""
    baseline = folder / "baseline"
    metrics = read_metrics(folder)
    return Run(
        folder,
        spec,
        load_untrusted(folder / "model.keras"),
        metrics,
        _exports_of(spec, folder) if "exports" in metrics else None,
        _read(baseline, _baseline_of(spec)) if baseline.is_dir() else None,
    )


def _ended(run):
    failed = {"failed": run.metrics["failed"]} if "failed" in run.metrics else {}
    tell("finished", run=str(run.folder), **headline(run.metrics), seconds=run.metrics["seconds"], **failed)
    return run


def _files(metrics):
    return [it["file"] for it in metrics.get("exports", {}).values()]


def _check_places(spec, folder, exports):
    """Find out before the training where its results cannot go, and say where its exports will be, if not under their name."""
    place = check_outputs(spec, folder, exports)
    if place and place.name != spec.name and not begun(folder):
        warnings.warn(told_taken(place.with_name(spec.name), place), KerastlWarning, stacklevel=3)


def _exports_of(spec, folder):
    """Where the exports of a finished run are; those of an earlier kerastl where its recipe has them."""
    run = run_id(folder)
    return exports_of(spec, run) if run else Path(spec.export.folder) / spec.name


def _open(folder, spec, plans, beginning):
    """Begin the run folder with what is going to happen, and say aloud what looks wrong in it."""
    for warning in (warning for it in plans for warning in it.warnings):
        warnings.warn(warning, KerastlWarning, stacklevel=4)
    write_text(folder / "plan.txt", describe(plans))
    write_text(folder / "recipe.toml", to_toml(spec))
    begin(folder, beginning)


def _circumstances(spec, data, model, plans, phases, beginning):
    """All that is needed to understand and repeat the run."""
    return {
        "plan": tabulate(plans),
        "phases": phases,
        "warnings": [warning for it in plans for warning in it.warnings],
        "data": {
            **{
                name: len(images or ())
                for name, images in (("train", data.train), ("validation", data.validation), ("test", data.test))
            },
            "duplicates": data.duplicates,
            "digests": beginning["data"],
            "skipped": list(data.skipped),
        },
        "parameters": model.count_params(),
        "peak_memory_bytes": peak_memory(),
        "seed": spec.seed,
        "versions": versions(),
        "machine": machine(),
        "trained_on": described(spec.train.devices),
        "git_revision": git_revision(),
        "recipe": strict.dump(spec),
    }


def _baseline_of(spec):
    overrides = {key: value for key, value in spec.baseline.items() if key != "strategy"}
    bare = override(
        spec, spec.baseline.get("strategy"), **{"name": f"{spec.name}-baseline", "export.formats": [], **overrides}
    )
    return replace(bare, baseline=None)


def _labels(data, temperature):
    """What an answer of the model means: the names of its classes, and the temperature of its probabilities."""
    labels = {"classes": list(data.class_names)}
    if data.superclasses:
        labels["superclasses"] = list(data.superclasses)
    if temperature and temperature["value"]:
        labels["temperature"] = temperature["value"]
    return labels
