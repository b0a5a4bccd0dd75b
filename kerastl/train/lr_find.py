"""Range tests: what learning rates a phase can bear, from a hundred steps in which they grow.

Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3.3; bounds, end and suggestions are those of
fastai's `lr_find`, the smoothing is shorter. Each phase is tested from the weights the recipe begins with, on a copy: the
model stays as it is.
"""

from dataclasses import dataclass, replace

import keras
import numpy as np

from kerastl.data.load import load
from kerastl.errors import RecipeError
from kerastl.model.graph import build_model, copy_weights
from kerastl.model.groups import layer_groups
from kerastl.recipe import Recipe, recipe
from kerastl.schema import ScheduleSpec
from kerastl.train.compiled import compile_learner
from kerastl.train.learner import make_learner, quieted
from kerastl.train.plan import plan
from kerastl.train.precision import precision
from kerastl.train.steps import phase_batches

LOWEST, HIGHEST = 1e-7, 10.0  # learning rates between which a phase is tested
STEPS = 100
MEMORY = 0.8  # weight of the steps before in the smoothed loss; fastai's 0.98 trails further behind
HOPELESS = 4  # times the lowest smoothed loss: the test ends there
FIRST, LAST = STEPS // 10, 5  # steps at the ends that suggest nothing
TENTH = 10  # the rate of the lowest loss is divided by it: there the loss is about to rise


@dataclass(frozen=True)
class RangeTest:
    """What a phase can bear.

    Args:
        phase: its number, from 0 as in the keys of a recipe.
        name: of the phase.
        rates: the recipe's, by group; all of them are multiplied alike.
        factors: what they were multiplied by, one for each step that was made.
        losses: of these steps, as they were.
        smoothed: the same, averaged over the steps before, as Adam corrects its averages.
        suggestions: factors by the name of their rule: `steepest`, where the smoothed loss falls fastest, and `min/10`, a
            tenth of where it is lowest; None where the loss never fell.
    """

    phase: int
    name: str
    rates: dict[str, float]
    factors: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestions: dict[str, float | None]

    @property
    def scale(self):
        """What turns a factor into what the axis shows: the rate where there is one, else the factor itself."""
        rates = set(self.rates.values())
        return rates.pop() if len(rates) == 1 else 1.0


def find_learning_rate(spec, phase=None):
    """Test the learning rates of a recipe's phases.

    Args:
        spec: a `Recipe`, the name of one, or the path of a TOML file.
        phase: the number of the only one to test, from 0 as in the keys of a recipe.

    Returns:
        A list with a `RangeTest` for each phase.

    Raises:
        UserError: a recipe, data or weights that the user can mend, or a phase that is not there.

    Example:
        >>> [test] = find_learning_rate("quickstart", phase=0)  # doctest: +SKIP
        >>> {rule: test.scale * factor for rule, factor in test.suggestions.items()}  # doctest: +SKIP
        {'steepest': 0.0023, 'min/10': 0.00071}
    """
    spec = spec if isinstance(spec, Recipe) else recipe(spec)
    if phase is not None and not 0 <= phase < len(spec.phases):
        raise RecipeError(f"--phase {phase}: {spec.name} has the phases 0 to {len(spec.phases) - 1}")
    keras.utils.set_random_seed(spec.seed)
    data = load(spec.data, spec.model.image_size, spec.seed)
    model = build_model(spec.model, data.shape, len(data.class_names))
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, data.counts)
    if phase is not None and spec.phases[phase].solve:
        raise RecipeError(f"--phase {phase}: {spec.phases[phase].name!r} is solved and has no learning rate")
    numbers = [number for number, it in enumerate(spec.phases) if not it.solve] if phase is None else [phase]
    return [try_rates(model, data, spec, plans[number], groups, number) for number in numbers]


def try_rates(model, data, recipe, phase_plan, groups, number):
    """Let the rates of a phase grow from step to step, and see what the loss does.

    Args:
        model: what `build_model` gave; left as it is.
        data: `Data`.
        recipe: a `Recipe`.
        phase_plan: what `plan` gave for the phase.
        groups: what `layer_groups` gave.
        number: of the phase, from 0.

    Returns:
        A `RangeTest`.
    """
    copy = keras.models.clone_model(model)
    copy_weights(model, copy)
    it = replace(phase_plan, phase=replace(phase_plan.phase, schedule=ScheduleSpec("constant")))
    it = replace(it, epochs=STEPS, steps_per_epoch=1)  # Python looks after each step
    learner = make_learner(copy, data, recipe, it, seed=recipe.seed)
    with quieted(learner.whole, it.quiet), precision(learner.whole, learner.precision):
        optimizers = compile_learner(learner, it, groups, recipe)
        factors, losses, smoothed = _steps(learner, data, recipe, it, number, optimizers)
    suggestions = dict(zip(("steepest", "min/10"), _suggestions(factors, smoothed), strict=True))
    return RangeTest(number, it.phase.name, it.rates, factors, losses, smoothed, suggestions)


def _steps(learner, data, recipe, it, number, optimizers):
    """Factor, loss and smoothed loss of each step, up to the one that is hopeless."""
    batches, _ = phase_batches(learner, data, recipe, it, number)
    factors = np.geomspace(LOWEST, HIGHEST, STEPS) / max(it.rates.values())
    losses, smoothed, average = [], [], 0.0
    for step, (factor, batch) in enumerate(zip(factors, batches.take(STEPS), strict=True), start=1):
        for group, optimizer in optimizers.items():
            optimizer.learning_rate = it.rates[group] * factor
        loss = learner.model.train_on_batch(*batch, return_dict=True)["loss"]
        average = MEMORY * average + (1 - MEMORY) * loss
        losses.append(float(loss))
        smoothed.append(float(average / (1 - MEMORY**step)))
        if not smoothed[-1] <= HOPELESS * min(smoothed):  # NaN is not, either
            break
    return factors[: len(losses)], np.array(losses), np.array(smoothed)


def _suggestions(factors, smoothed):
    """Where the smoothed loss falls fastest over the logarithm of the factor, and a tenth of where it is lowest."""
    factors, smoothed = factors[FIRST:-LAST], smoothed[FIRST:-LAST]
    if len(factors) < 2 or smoothed.min() >= smoothed[0]:
        return None, None
    slopes = np.gradient(smoothed, np.log(factors))
    return float(factors[slopes.argmin()]), float(factors[smoothed.argmin()] / TENTH)
