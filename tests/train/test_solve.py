"""A solved head: the optimum of its loss, its penalty chosen on what was held out, and a phase like any other."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from kerastl import Recipe
from kerastl.data.load import load
from kerastl.errors import RecipeError
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.recipe import override
from kerastl.train.describe import describe
from kerastl.train.features import Mirror, View, views_of
from kerastl.train.fit import fit
from kerastl.train.history import read_history
from kerastl.train.plan import plan
from kerastl.train.solve import Examples, solve

SOLVED = {"name": "head", "trainable": "head", "solve": "logistic"}
AFTER = {"name": "all", "batch_norm": "freeze", "epochs": 2, "only_if_better": True}


@pytest.fixture(scope="module")
def digits(tiny):
    recipe = tiny()
    return load(recipe.data, 32, recipe.seed)


def examples(n, classes=3, width=5, views=1, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = np.random.default_rng(7).normal(size=(classes, width))
    features = [10 + 3 * (centres[labels] + random.normal(size=(n, width))) for _ in range(views)]
    return Examples(np.concatenate(features).astype("float32"), labels, classes)


def loss(solution, some, penalty):
    """What is minimised, on features of mean variance 1."""
    told = solution.log_probabilities(some.features.astype(np.float64))
    scale = np.sqrt(some.features.var(axis=0, dtype=np.float64).mean())
    data = -told[np.arange(len(some.features)), np.tile(some.labels, some.views)].mean()
    return data + penalty / 2 * np.square(solution.kernel * scale).sum()


@pytest.mark.parametrize("classes", [3, 7])
def test_nothing_near_the_solution_is_better(classes):
    some = examples(70, classes, views=2)
    found = solve(some)
    lowest = loss(found, some, found.penalty)
    random = np.random.default_rng(0)
    assert found.kernel.dtype == found.bias.dtype == np.float32
    for _ in range(20):
        kernel, bias = (it + 1e-2 * random.normal(size=it.shape) for it in (found.kernel, found.bias))
        assert loss(replace(found, kernel=kernel, bias=bias), some, found.penalty) > lowest


def test_of_two_classes_it_is_what_scikit_learn_says():
    some = examples(60, classes=2)
    found = solve(some)
    scale, mean = np.sqrt(some.features.var(axis=0).mean()), some.features.mean(axis=0)
    plain = LogisticRegression(C=1 / (found.penalty * 60), tol=1e-6).fit((some.features - mean) / scale, some.labels)
    expected = plain.predict_log_proba((some.features - mean) / scale)
    np.testing.assert_allclose(found.log_probabilities(some.features), expected, atol=2e-2)


@pytest.mark.parametrize(
    ("train", "validation", "told"),
    [
        (examples(90), examples(240, seed=1), "validation"),
        (examples(90), examples(30, seed=1), "5 folds"),
        (examples(90), None, "5 folds"),
        (examples(9), None, "3 folds"),
        (examples(3), None, "nothing: too few images of a class"),
        (examples(6_000), None, "10% of the training images"),
    ],
    ids=["large", "small", "none", "nine images", "one of a class", "many"],
)
def test_what_chooses_the_penalty(train, validation, told):
    assert solve(train, validation).chosen_on == told


def test_the_penalty_that_is_best_on_what_is_held_out_is_taken():
    train, validation = examples(45, width=40), examples(600, width=40, seed=1)
    found = solve(train, validation)
    told = found.log_probabilities(validation.features)
    lowest = -told[np.arange(600), validation.labels].mean()
    for strength in (1e-3, 1e3):
        x, mean = train.features, train.features.mean(axis=0)
        scale = np.sqrt(x.var(axis=0).mean())
        other = LogisticRegression(C=strength / 45, max_iter=2000).fit((x - mean) / scale, train.labels)
        scores = log_softmax(other.decision_function((validation.features - mean) / scale), axis=1)
        assert lowest < -scores[np.arange(600), validation.labels].mean()


def test_views_of_one_image_are_on_one_side():
    """Views that are copies tell nothing new: with and without them the same penalty is the best."""
    some = examples(60, width=30)
    double = Examples(np.tile(some.features, (2, 1)), some.labels, some.classes)
    assert solve(double).penalty == solve(some).penalty


def test_it_is_the_same_to_the_bit():
    first, second = (solve(examples(90, views=2)) for _ in range(2))
    assert first.kernel.tobytes() == second.kernel.tobytes() and first.bias.tobytes() == second.bias.tobytes()


def test_mirror_images_are_all_there_are_of_a_flip(tiny):
    flips = tiny(**{"augment.flip": "both"}).augment
    assert views_of(flips, 0, 4) == [None, Mirror((2,)), Mirror((1,)), Mirror((1, 2))]
    assert all(isinstance(it, View) for it in views_of(tiny(**{"augment.rotation": 9}).augment, 0, 3))
    assert views_of(tiny(**{"augment.mixup": 0.2}).augment, 0, 1) == [None]


def solved(tiny, *more, **changes) -> Recipe:
    return override(tiny(), **{"phases": [SOLVED, *more], **changes})


def run(recipe, data, folder, **how):
    keras.utils.set_random_seed(recipe.seed)
    model = build_model(recipe.model, data.shape, len(data.class_names))
    groups = layer_groups(model, recipe.model.backbone)
    plans = plan(model, groups, recipe, data.counts)
    done = fit(model, data, recipe, plans, groups, folder, **how)
    return model, plans, done


@pytest.mark.parametrize(
    "changes", [{}, {"augment.flip": "horizontal"}, {"augment.rotation": 20}, {"train.cache_budget.disk": 0}]
)
def test_a_phase_that_is_solved(tiny, digits, tmp_path, changes):
    recipe = solved(tiny, **changes)
    model, plans, [summary] = run(recipe, digits, tmp_path)
    assert "head: solved, no steps" in describe(plans) and "solver: " in describe(plans)
    assert summary["epochs"] == 1 and summary["chosen_on"].endswith("folds")
    row = (tmp_path / "history.csv").read_text().splitlines()[1].split(",")
    assert row[:2] == ["head", "1"]
    told = model.predict(digits.train.pixels, verbose=0)
    assert float(row[3]) == pytest.approx((told.argmax(1) == digits.train.labels).mean())
    assert float(row[2]) == pytest.approx(-np.log(told[np.arange(len(told)), digits.train.labels]).mean(), rel=1e-3)


@pytest.mark.parametrize("optimizer", [{"name": "rmsprop", "learning_rate": 1e-3}, {"learning_rate": 1e-5}])
def test_a_phase_counts_only_if_it_is_better(tiny, digits, tmp_path, optimizer):
    recipe = solved(tiny, {**AFTER, "epochs": 6, "optimizer": optimizer}, **{"train.epochs_scale": 1.0})
    before, _, _ = run(solved(tiny), digits, tmp_path / "one")
    after, _, done = run(recipe, digits, tmp_path / "two")
    losses = [row["val_loss"] for row in read_history(tmp_path / "two" / "history.csv")]
    best = done[1]["best_epoch"]
    assert len(losses) == 7 and best == int(np.argmin(losses)) == (0 if "name" in optimizer else best or -1)
    same = [np.array_equal(*both) for both in zip(before.get_weights(), after.get_weights(), strict=True)]
    assert all(same) == (best == 0)


REFUSED = [
    ({"epochs": 2}, "epochs: a phase with solve = 'logistic' has no steps; expected no epochs"),
    ({"optimizer": {"learning_rate": 0.1}}, "expected no optimizer"),
    ({"trainable": "all"}, "trainable: found 'all' beside solve"),
    ({"keep_best": True}, "expected no keep_best"),
    ({"schedule": {"name": "cosine"}}, "expected no schedule"),
]


@pytest.mark.parametrize(("more", "told"), REFUSED)
def test_what_a_solved_phase_cannot_have(tiny, more, told):
    with pytest.raises(RecipeError, match=told):
        override(tiny(), phases=[SOLVED | more])


def test_a_phase_without_solve_needs_steps(tiny):
    with pytest.raises(RecipeError, match="epochs: is missing"):
        override(tiny(), phases=[{"name": "head", "optimizer": {"learning_rate": 0.1}}])


def test_a_head_of_several_layers_cannot_be_solved(tiny, digits):
    recipe = solved(tiny, **{"model.head.widths": [8]})
    model = build_model(recipe.model, digits.shape, len(digits.class_names))
    with pytest.raises(RecipeError, match="the head has 2 layers that learn; expected one"):
        plan(model, layer_groups(model, "SmallCNN"), recipe, digits.counts)


def test_it_goes_on_to_the_same_bits(tiny, digits, tmp_path):
    after = {**AFTER, "optimizer": {"learning_rate": 1e-3}}
    recipe = solved(tiny, after, **{"train.deterministic": True})
    whole, _, _ = run(recipe, digits, tmp_path / "whole")

    def die(rows):
        if len(rows) == len_at:
            raise InterruptedError

    for len_at in (1, 2):
        folder = Path(tmp_path / str(len_at))
        with pytest.raises(InterruptedError):
            run(recipe, digits, folder, on_epoch=die)
        again, _, _ = run(recipe, digits, folder, resume=True)
        for mine, its in zip(whole.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, its)
