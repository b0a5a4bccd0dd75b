"""A head that is solved: the optimum of regularised logistic regression on the features of all images, in place of steps.

images -> frozen layers, once for each view -> features -> strength of the penalty -> weights of the dense layer

The optimum is the same whatever the learning rate would have been, and takes seconds; on frozen features no training of the same
layer is better on its own loss.
"""

import time
import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit
from threadpoolctl import threadpool_limits

from kerastl.model.graph import LOGITS
from kerastl.train.features import features_in_memory, views_of
from kerastl.train.learner import first_learner, frozen_part

# Penalties per image on features of mean variance 1, the strongest first; and the one where nothing can be held out.
PENALTIES = tuple(10.0 ** (-power / 2) for power in range(-1, 13))
USUAL = 0.1
WORSE = 2  # penalties in a row that are worse than the best end the search
# Validation images from which on they choose; with fewer, folds of the training images do, or a tenth of many.
ENOUGH, ENOUGH_OF_A_CLASS = 200, 10
FOLDS, MANY, TENTH = 5, 5_000, 0.1
MOST_STEPS = 500  # of the solver
SMALL = 2**27  # bytes of features below which several threads wait for one another longer than they compute
LEAST_VARIANCE = 1e-12  # below which features do not vary


@dataclass(frozen=True)
class Solution:
    """The optimum.

    Args:
        kernel: float32 array of shape (features, classes).
        bias: float32 array of shape (classes,).
        penalty: per image, on features of mean variance 1.
        chosen_on: what chose the penalty: "validation", "5 folds", ...
    """

    kernel: np.ndarray
    bias: np.ndarray
    penalty: float
    chosen_on: str

    def log_probabilities(self, features):
        """float array of shape (n, classes), for features of shape (n, features)."""
        return log_softmax(features @ self.kernel + self.bias, axis=1)


@dataclass(frozen=True)
class Examples:
    """What the head is solved on.

    Args:
        features: array of shape (views * n, features), view by view.
        labels: int array of shape (n,).
        classes: how many.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: int

    @property
    def views(self):
        return len(self.features) // len(self.labels)

    def at(self, places):
        """All views of some images, and their labels."""
        rows = (np.arange(self.views)[:, None] * len(self.labels) + places).ravel()
        return self.features[rows], np.tile(self.labels[places], self.views)


def solve_head(model, data, recipe, phase_plan):
    """Solve the head of a model for the training images of a recipe.

    Args:
        model: what `build_model` gave; its dense layer is given its weights.
        data: `Data`.
        recipe: a `Recipe`.
        phase_plan: the `PhasePlan` of a phase with `solve`.

    Returns:
        A dict: penalty and chosen_on (`Solution`), loss and accuracy on the training images, val_loss and val_accuracy where there
        is a validation split, seconds of the solver, and feature_seconds.

    Source:
        Kornblith et al. 2019, Do Better ImageNet Models Transfer Better?, section 3: logistic regression on fixed features, its
        penalty chosen on held-out images.
    """
    began = time.perf_counter()
    learner = first_learner(model, data, recipe, phase_plan)
    trunk, _ = frozen_part(learner, recipe, phase_plan)
    views = views_of(recipe.augment, recipe.seed, phase_plan.frontier.views)
    if views[0] is not None:  # what is drawn comes beside the images as they are
        views = [None, *views[:-1]]

    def examples(images, views, title):
        features = features_in_memory(trunk, images, views, title, phase_plan.frontier.cached)
        return Examples(features, images.labels, len(data.class_names))

    train = examples(data.train, views, "features of train")
    validation = None
    if data.validation is not None:
        validation = examples(data.validation, [None], "features of validation")
    featured = time.perf_counter()
    balanced = recipe.train.class_weights == "balanced"
    solution = solve(train, validation, recipe.seed, balanced)
    model.get_layer(LOGITS).set_weights([solution.kernel, solution.bias])
    told = _scores(solution, train, "") | (_scores(solution, validation, "val_") if validation else {})
    return {
        "penalty": solution.penalty,
        "chosen_on": solution.chosen_on,
        **told,
        "seconds": time.perf_counter() - featured,
        "feature_seconds": featured - began,
    }


def solve(train, validation=None, seed=0, balanced=False):
    """Solve regularised multinomial logistic regression, its penalty chosen on images that are held out.

    Args:
        train: `Examples`.
        validation: `Examples` of one view, or None.
        seed: of what is held out where validation is small or missing.
        balanced: rare classes weigh as much as frequent ones.

    Returns:
        A `Solution`.

    Example:
        >>> features = np.float32([[0, 1], [0, 2], [0, 1], [1, 0], [2, 0], [1, 0]])
        >>> found = solve(Examples(features, np.array([0, 0, 0, 1, 1, 1]), 2))
        >>> found.log_probabilities(features).argmax(axis=1).tolist(), found.chosen_on
        ([0, 0, 0, 1, 1, 1], '3 folds')
    """
    chosen_on, trials = _held_out(train, validation, seed)
    penalty = _search(trials, train.classes, balanced)[0] if trials else USUAL
    everything = np.arange(len(train.labels))
    solver = _Solver(*train.at(everything), train.classes, balanced)
    return Solution(*solver.weights(penalty), penalty, chosen_on)


def out_of_fold(examples, seed=0):
    """How good a solved head is on images that it was not solved on.

    Args:
        examples: `Examples`.
        seed: of the folds.

    Returns:
        Mean loss and accuracy, of the penalty where the loss is lowest.
    """
    _, trials = _held_out(examples, None, seed)
    return _search(trials, examples.classes, False)[1:] if trials else (np.inf, 0.0)


def _held_out(train, validation, seed):
    """What chooses the penalty, in words; and the trials: features and labels to solve on, and others to judge on."""
    n, smallest = len(train.labels), int(np.bincount(train.labels, minlength=train.classes).min())
    everything = np.arange(n)
    if validation is not None and len(validation.labels) >= max(ENOUGH, ENOUGH_OF_A_CLASS * train.classes):
        return "validation", [(train.at(everything), (validation.features, validation.labels))]
    folds = min(FOLDS, smallest)
    if folds < 2:
        return "nothing: too few images of a class", []
    if n > MANY:
        told = f"{TENTH:.0%} of the training images"
        splits = StratifiedShuffleSplit(1, test_size=TENTH, random_state=seed).split(everything, train.labels)
    else:
        told = f"{folds} folds"
        splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(
            everything, train.labels, everything
        )
    judged = [(train.at(kept), (train.features[held], train.labels[held])) for kept, held in splits]
    return told, judged


def _search(trials, classes, balanced):
    """The penalty with the lowest loss on what is held out, that loss, and the accuracy; each begins where the last one ended."""
    solvers = [_Solver(*kept, classes, balanced) for kept, _ in trials]
    best, worse = (USUAL, np.inf, 0.0), 0
    for penalty in PENALTIES:
        losses, right = [], []
        for solver, (_, (features, labels)) in zip(solvers, trials, strict=True):
            kernel, bias = solver.weights(penalty)
            told = log_softmax(features @ kernel + bias, axis=1)
            losses.append(-told[np.arange(len(labels)), labels])
            right.append(told.argmax(axis=1) == labels)
        loss, accuracy = (float(np.concatenate(it).mean()) for it in (losses, right))
        best, worse = ((penalty, loss, accuracy), 0) if loss < best[1] else (best, worse + 1)
        if worse == WORSE:
            break
    return best


class _Solver:
    """Weights for one penalty after another, on features that are centred and scaled as a whole.

    Args:
        features: array of shape (n, features).
        labels: int array of shape (n,).
        classes: how many there are; all of them are among the labels.
        balanced: rare classes weigh as much as frequent ones.
    """

    def __init__(self, features, labels, classes, balanced):
        self.mean = features.mean(axis=0, dtype=np.float64)
        self.scale = np.sqrt(max(features.var(axis=0, dtype=np.float64).mean(), LEAST_VARIANCE))
        self.x, self.labels = (features - self.mean) / self.scale, labels
        weight = "balanced" if balanced else None
        self.regression = LogisticRegression(max_iter=MOST_STEPS, class_weight=weight, warm_start=True)

    def weights(self, penalty):
        """Kernel and bias for the features as they were, float32."""
        threads = 1 if self.x.nbytes < SMALL else None
        with warnings.catch_warnings(), threadpool_limits(threads):
            warnings.simplefilter("ignore", ConvergenceWarning)  # as good as it gets in so many steps
            self.regression.set_params(C=1 / (penalty * len(self.labels))).fit(self.x, self.labels)
        coefficients, bias = self.regression.coef_, self.regression.intercept_
        if len(coefficients) == 1:  # of two classes: one number says both
            coefficients, bias = np.stack([-coefficients[0], coefficients[0]]) / 2, np.array([-bias[0], bias[0]]) / 2
        kernel = coefficients.T / self.scale
        return kernel.astype(np.float32), (bias - self.mean @ kernel).astype(np.float32)


def _scores(solution, examples, prefix):
    """Loss and accuracy on the images as they are."""
    labels = examples.labels
    told = solution.log_probabilities(examples.features[: len(labels)])
    return {
        f"{prefix}loss": float(-told[np.arange(len(labels)), labels].mean()),
        f"{prefix}accuracy": float((told.argmax(axis=1) == labels).mean()),
    }
