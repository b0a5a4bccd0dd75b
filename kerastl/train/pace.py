"""How long a run will still take: what was measured where it is, and multiplication for the phases that are to come."""

from dataclasses import dataclass

from kerastl.data.batches import steps_per_epoch
from kerastl.train.frontier import arithmetic

CALL = 10**8  # multiplications in the time that a step takes however small it is


@dataclass
class Stretch:
    """Steps of one kind in one phase.

    Args:
        steps: that are left.
        work: of one, in multiplications.

    Attributes:
        each: seconds of one, as far as they were measured. The first ones, in which it is traced, count until there are others.
        done, seconds: all that was measured.
    """

    steps: int
    work: float
    each: float | None = None
    done: int = 0
    seconds: float = 0.0

    def did(self, steps, seconds):
        self.steps = max(0, self.steps - steps)
        if self.each is None:
            self.each = seconds / steps
            return
        self.done, self.seconds = self.done + steps, self.seconds + seconds
        self.each = self.seconds / self.done


class Pace:
    """The steps of a run that are left, and how fast they go.

    Args:
        plans: what `plan` gave.
        model: what they were made for.
        recipe: a `Recipe`.
        images: how many there are (to train on, to validate on).
    """

    def __init__(self, plans, model, recipe, images):
        self.phases = [_stretches(it, model, recipe, images) for it in plans]
        self.now = {}

    def begin(self, number):
        """A phase begins; nothing is left of those before it, however they ended."""
        for earlier in self.phases[:number]:
            for it in earlier.values():
                it.steps = 0
        self.now = self.phases[number]

    def go_on(self, epochs, steps):
        """So much of the phase is left, and its features are there."""
        self.now["features"].steps, self.now["training"].steps = 0, steps
        self.now["validation"].steps = epochs

    def did(self, kind, steps, seconds):
        """Some steps of the phase have been done: of its features, its training or its validation."""
        self.now[kind].did(steps, seconds)

    @property
    def left(self):
        """Seconds; None where nothing was measured yet."""
        every = [it for phase in self.phases for it in phase.values()]
        known = [it for it in every if it.each is not None]
        if not known:
            return None
        rate = sum(it.each * max(1, it.done) for it in known) / sum(it.work * max(1, it.done) for it in known)
        return sum(it.steps * (rate * it.work if it.each is None else it.each) for it in every if it.steps)


def _stretches(it, model, recipe, images):
    """The passes of a phase: the features of all images, its training steps, and a validation after each epoch."""
    size = it.phase.image_size or recipe.model.image_size
    scale = (size / recipe.model.image_size) ** 2
    trunk = [layer for layer in model.layers if it.frontier.cached and layer.name in it.frontier.trunk]
    before = scale * arithmetic(trunk)
    behind = scale * arithmetic(model.layers) - before
    (train, validate), batch = images, recipe.train.evaluation_batch
    passes = it.frontier.views * steps_per_epoch(train, batch) + steps_per_epoch(validate, batch)
    validations = steps_per_epoch(validate, batch)
    return {
        "features": Stretch(passes if trunk else 0, CALL + batch * before),
        "training": Stretch(it.steps, CALL + 3 * train * recipe.data.repeat / it.steps_per_epoch * behind),
        "validation": Stretch(it.epochs if validate else 0, validations * CALL + validate * behind),
    }
