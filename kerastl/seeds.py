"""Several seeds of one recipe: how much of a score is the recipe's, and how much chance.

recipe -> a run folder for each seed -> mean, standard deviation and all values
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerastl.errors import UserError, shortened
from kerastl.evaluate.plots import draw_overlaid
from kerastl.evaluate.statistics import mean_interval
from kerastl.files import disk_told, locked, refuse_links, write_json, write_text
from kerastl.identity import IDENTITY, new_identity
from kerastl.recipe import Recipe, as_begun, override, recipe, to_toml
from kerastl.resume import differences
from kerastl.run import train
from kerastl.run_folder import SEEDS, read_seeds
from kerastl.strict import dump
from kerastl.train.devices import strategy_for, worker
from kerastl.train.history import read_history
from kerastl.voice import tell

RECIPE, FIGURE = "recipe.toml", "seeds.png"
SCORES = {"accuracy": 1.0, "loss": np.inf}  # and the most it can be


@dataclass(frozen=True)
class Seeds:
    """Finished runs of one recipe that differ in their seed.

    Args:
        folder: with the run folders, seeds.json and seeds.png.
        summary: what seeds.json holds: recipe, seeds, runs (folder names), and for test and validation the accuracy and the
            loss, and the seconds, each as mean, std, 95% interval of the mean, and values in the order of the seeds.
        metrics: of each run, in the same order.
    """

    folder: Path
    summary: dict
    metrics: tuple[dict, ...]


def train_seeds(spec, out, seeds=3, *, resume=False, force=False):
    """Train a recipe with several seeds: its own and those that follow.

    A seed decides first weights, order, augmentation and dropout, and the splits that kerastl draws itself. Each is an ordinary run in a
    folder of its own, `seed-N`, with its own exports: `saved_models/NAME-seed-N`.

    Args:
        spec: a `Recipe`, the name of one, or the path of a TOML file.
        out: folder of them all; made where it is missing, refused where it holds something else.
        seeds: how many.
        resume: go on with the folder: runs that are finished are kept as they are, one that was killed goes on where it was,
            and with more seeds than before further ones are trained.
        force: as in `train`, for runs that go on.

    Returns:
        A `Seeds`.

    Raises:
        UserError: a folder that holds something else, or the seeds of another recipe; and what `train` raises.

    Example:
        >>> done = train_seeds("quickstart", "runs/quickstart", 3)  # doctest: +SKIP
        >>> done.summary["test"]["accuracy"]  # doctest: +SKIP
        {'mean': 0.936, 'std': 0.007, 'interval': (0.918, 0.953), 'values': [0.942, 0.928, 0.937]}
    """
    spec, folder = spec if isinstance(spec, Recipe) else recipe(spec), Path(out)
    spec = as_begun(spec, folder) if resume else spec
    specs = [override(spec, name=f"{spec.name}-seed-{n}", seed=n) for n in range(spec.seed, spec.seed + seeds)]
    strategy_for(spec.train.devices)  # several workers have to meet before anything is computed
    first = not worker()[0]
    if first:
        _begin(folder, spec, specs, resume)
    metrics = [train(it, folder / _run_of(it), resume=resume, force=force).metrics for it in specs]
    summary = _about(spec, specs) | _scores(metrics)
    tell("seeds", folder=str(folder), **summary)
    if first:
        draw_overlaid(
            {_run_of(it): read_history(folder / _run_of(it) / "history.csv") for it in specs}, folder / FIGURE
        )
        write_json(folder / SEEDS, summary)
    return Seeds(folder, summary, tuple(metrics))


def seeds_begun(folder):
    """How many seeds a folder was begun with; None where it holds no seeds."""
    refuse_links(folder)
    return len(read_seeds(folder)["seeds"]) if (Path(folder) / SEEDS).is_file() else None


def _begin(folder, spec, specs, resume):
    """Say in the folder whose seeds these are, or see that they are this recipe's."""
    refuse_links(folder)
    with disk_told(folder), locked(folder):
        ours = resume and (folder / SEEDS).exists()
        others = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - {RECIPE, SEEDS, IDENTITY}
        if others and not ours:
            raise UserError(
                f"{folder}: holds something already; expected a new folder (--out), or one of seeds to go on with (--resume)"
            )
        if ours:
            before = dump(as_begun(recipe(folder / RECIPE), folder))
            if different := differences({"recipe": before}, {"recipe": dump(spec)}):
                told = "; ".join(shortened(different.values()))
                raise UserError(
                    f"{folder}: these seeds were begun otherwise: {told}; expected the same, or a new folder (--out)"
                )
        else:
            write_json(folder / IDENTITY, new_identity(folder))
            write_text(folder / RECIPE, to_toml(spec))
        write_json(folder / SEEDS, _about(spec, specs))


def _run_of(spec):
    return f"seed-{spec.seed}"


def _about(spec, specs):
    return {"recipe": spec.name, "seeds": [it.seed for it in specs], "runs": [_run_of(it) for it in specs]}


def _scores(metrics):
    splits = [split for split in ("test", "validation") if all(split in it for it in metrics)]
    return {
        **{
            split: {score: mean_interval((it[split][score] for it in metrics), most) for score, most in SCORES.items()}
            for split in splits
        },
        "seconds": mean_interval(it["seconds"] for it in metrics),
    }
