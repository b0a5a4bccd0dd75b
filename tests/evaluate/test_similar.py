"""Training images that look alike: found by comparing all with all, from features that are kept."""

import itertools

import keras
import numpy as np
import pytest

from kerastl.data.load import load
from kerastl.errors import KerastlError, UserError
from kerastl.evaluate import similar
from kerastl.evaluate.similar import most_similar, open_lookalikes
from kerastl.model.cut import split
from kerastl.recipe import override
from kerastl.train import features
from kerastl.train.features import Pass, Trunk, cached_features


@pytest.mark.parametrize("count", [1, 5, 100])
def test_the_largest_cosines_of_all(monkeypatch, count):
    monkeypatch.setattr(similar, "AT_ONCE", 7)
    random = np.random.default_rng(0)
    asked, rows = random.normal(size=(4, 6)), random.normal(size=(33, 6))
    rows[20] = 3 * asked[2]
    rows[9] = 0
    places, cosines = most_similar(asked, rows, count)
    norms = np.maximum(np.linalg.norm(rows, axis=1), 1e-9) * np.linalg.norm(asked, axis=1)[:, None]
    expected = asked @ rows.T / norms
    best = np.argsort(-expected, axis=1)[:, :count]
    np.testing.assert_array_equal(places, best)
    np.testing.assert_allclose(cosines, np.take_along_axis(expected, best, axis=1), atol=1e-6)
    assert places[2, 0] == 20 and cosines[2, 0] == pytest.approx(1)


def nothing_is_computed(*_):
    raise AssertionError("these features were there")


def test_an_image_that_was_trained_on_is_its_own_nearest_one(finished, monkeypatch):
    data = load(finished.recipe.data, 32)
    trunk, _ = split(finished.model, "features")
    cached_features(Trunk(trunk, Pass(batch_size=finished.recipe.train.evaluation_batch)), data.train)
    monkeypatch.setattr(features, "_compute", nothing_is_computed)
    lookalikes = open_lookalikes(finished.model, finished.folder)
    for place, found in zip((3, 40), lookalikes.neighbours(data.train.pixels[[3, 40]], 4), strict=True):
        assert found[0].image == place and found[0].similarity == pytest.approx(1, abs=1e-4)
        assert found[0].label == data.class_names[data.train.labels[place]]
        np.testing.assert_array_equal(found[0].pixels, data.train.pixels[place])
        assert len(found) == 4 and all(a.similarity >= b.similarity for a, b in itertools.pairwise(found))
    assert len(lookalikes.neighbours(data.train.pixels[:1], 10**6)[0]) == len(data.train)


def test_any_network_with_a_dense_layer_will_do(finished):
    x = image = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(5, 3)(x))
    x = keras.layers.Dense(7, activation="relu", name="hidden")(x)
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(x))
    assert open_lookalikes(model, finished.folder).features.shape == (48, 7), "what the last one reads"


def without_head(shape):
    image = keras.Input(shape)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(image), name="bare")


@pytest.mark.parametrize(
    ("run", "shape", "told"),
    [
        ("nowhere", (8, 8, 3), "nowhere: holds no run; expected a folder with a recipe.toml"),
        (None, (16, 8, 3), "its images are 8x8 pixels, and the model takes 16x8"),
        (None, (8, 8, 3), "bare: has neither a layer named features nor a dense one"),
    ],
)
def test_what_cannot_be_searched_is_told(finished, run, shape, told):
    with pytest.raises(UserError, match=told):
        open_lookalikes(without_head(shape), run or finished.folder)


def test_no_room_for_the_features_is_told(finished, monkeypatch):
    narrow = override(finished.recipe, **{"train.cache_budget.disk": 100.0})
    monkeypatch.setattr(similar, "recipe", lambda path: narrow)
    with (
        pytest.warns(match="features are not cached"),
        pytest.raises(KerastlError, match="of 48 training images are not kept; make room"),
    ):
        open_lookalikes(finished.model, finished.folder)
