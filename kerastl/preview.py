"""What a recipe is going to do here, before it does it: its plan, and how long that will take."""

from kerastl.data.cifar import LAYOUTS, find, outline
from kerastl.data.load import load
from kerastl.deploy.formats import check_formats
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.recipe import Recipe, override, recipe
from kerastl.train.plan import plan
from kerastl.train.speed import predict_seconds
from kerastl.train.trackers import check_trackers


def dry_run(spec):
    """The plan of a recipe, without training, without weights and, for CIFAR, without the images.

    Args:
        spec: a `Recipe`.

    Returns:
        The list of `PhasePlan`, and a sentence about the data it was made for.

    Raises:
        UserError: a recipe or data that the user can mend, or an extra, which its trackers or exports need, that is
            not installed.

    Example:
        >>> small = {"model.backbone": "SmallCNN", "model.image_size": 32}
        >>> plans, told = dry_run(recipe("cifar10-freeze-first", **small))
        >>> [(it.phase.name, it.epochs) for it in plans]
        [('head', 4), ('fine-tune', 2)]
    """
    check_trackers(spec)
    check_formats(spec.export.formats)
    if spec.data.name in LAYOUTS and find(spec.data) is None:
        class_names, shape, counts = outline(spec.data)
        images = min(counts["train"], spec.data.limit or counts["train"])
        validate = round(images * spec.data.validation)
        images -= validate
        told = f"{spec.data.name} is not on this machine: its nominal size is assumed"
    else:
        data = load(spec.data, spec.model.image_size, spec.seed)
        class_names, shape, (images, validate) = data.class_names, data.shape, data.counts
        told = f"{spec.data.name}: {images:,} training, {validate:,} validation, {len(data.test):,} test images"
    model = build_model(_without_weights(spec).model, shape, len(class_names))
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, (images, validate))
    return plans, f"{told}; {images:,} to train on, {len(class_names)} classes"


def tune_speed(spec):
    """How long the phases of a recipe will take on this machine, from a few steps of each.

    Where the recipe asks for precision `auto`, the choice is measured here, and kept for the runs to come.

    Args:
        spec: a `Recipe`, the name of one, or the path of a TOML file. Its weights are not needed.

    Returns:
        A list with a `PhaseSpeed` for each phase.

    Raises:
        UserError: a recipe or data that the user can mend.

    Example:
        >>> [round(it.seconds) for it in tune_speed("cifar10-fast")]  # doctest: +SKIP
        [42, 121]
    """
    spec = spec if isinstance(spec, Recipe) else recipe(spec)
    data = load(spec.data, spec.model.image_size, spec.seed)
    model = build_model(_without_weights(spec).model, data.shape, len(data.class_names))
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, data.counts)
    return predict_seconds(model, data, spec, plans, groups)


def _without_weights(spec):
    """The same architecture, for which nothing has to be there or downloaded."""
    return override(spec, **{"model.weights": "none"}) if spec.model.weights != "none" else spec
