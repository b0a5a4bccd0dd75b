"""Whether a run can go on: what it was begun with against what is there now."""

from kerastl.circumstances import versions
from kerastl.errors import UserError, shortened
from kerastl.files import write_json
from kerastl.identity import IDENTITY, new_identity, read_identity
from kerastl.model.graph import digest_of_weights
from kerastl.recipe import as_begun
from kerastl.run_files import read_json
from kerastl.schema import Recipe
from kerastl.shapes import Names
from kerastl.strict import dump, flat, read
from kerastl.train.state import FOLDER

ORIGIN = FOLDER / "run.json"
OF_ORIGIN = {
    "recipe": Names(object),
    "data": Names(object),
    "classes?": [str],
    "first_weights": str,
    "versions": Names(object),
}
# Keys by how they begin. They change nothing of the training, or only where its files are:
FREE = (
    "recipe.export.",
    "recipe.why.",
    "recipe.evaluate.report",
    "recipe.data.dir",
    "recipe.data.cache",
    "recipe.train.checkpoint_minutes",
    "recipe.train.cache_budget.",
    "recipe.train.trackers",
)
# The run can go on, though not to the same bits:
FORCIBLE = (
    "versions.",
    "recipe.name",
    "recipe.description",
    "recipe.evaluate.",
    "recipe.baseline.",
    "recipe.train.learning_rate_scale",
    "recipe.train.evaluation_batch",
    "recipe.train.deterministic",
    "recipe.train.devices",
)


def origin(spec, data, model):
    """What decides the result of a run, as a table.

    Args:
        spec: a `Recipe`.
        data: its `Data`.
        model: as it was built, with the weights it begins with.
    """
    return {
        "recipe": dump(spec),
        "data": data.digests,
        "classes": list(data.class_names),
        "first_weights": digest_of_weights(model),
        "versions": versions(),
    }


def begun(folder):
    """Whether a folder holds a run that has not ended."""
    return (folder / ORIGIN).is_file()


def finished(folder):
    """Whether a folder holds a run that has ended."""
    return (folder / "metrics.json").is_file() and not begun(folder)


def begin(folder, now):
    """Write down what a run begins with."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    write_json(folder / IDENTITY, new_identity(folder))
    write_json(folder / ORIGIN, now)


def check(folder, now, force=False):
    """Refuse to go on with what would be another run.

    Args:
        folder: of the run.
        now: what `origin` gives today.
        force: let pass what only costs the equality of the bits.

    Raises:
        UserError: something differs; it is named, with what can be done.
    """
    before = read_json(folder / ORIGIN, OF_ORIGIN)
    # Read anew, it has the keys that are newer than the run.
    before["recipe"] = dump(as_begun(read(Recipe, before["recipe"], str(folder / ORIGIN)), folder))
    before.setdefault("classes", now["classes"])  # an earlier kerastl wrote none down
    different = differences(before, now)
    fatal = [told for key, told in different.items() if not key.startswith(FORCIBLE)]
    if read_identity(folder) is None:  # begun by an earlier kerastl
        write_json(folder / IDENTITY, new_identity(folder))
    if different and (fatal or not force):
        shown = "; ".join(shortened(fatal or different.values()))
        remedy = "a run cannot go on with that: start a new one (--out)" if fatal else "--force goes on all the same"
        raise UserError(f"{folder}: this run was begun otherwise: {shown}; {remedy}")


def differences(before, now):
    """A sentence for each dotted key in which two tables differ; those that change nothing of a training are passed over."""
    before, now = flat(before), flat(now)
    return {
        key: f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key) and not key.startswith(FREE)
    }
