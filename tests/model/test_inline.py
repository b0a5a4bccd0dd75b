"""Models as tutorials leave them, as backbones: networks within networks, Sequentials, and some that end in their classes."""

import keras
import numpy as np
import pytest

from kerastl.errors import KerastlWarning, UserError
from kerastl.model.cut import cuts
from kerastl.model.inline import inlined, without_classes
from kerastl.model.pretrained import pretrained
from kerastl.schema import ModelSpec

L = keras.layers
SIDE = 16
PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype("float32")


def image():
    return keras.Input((SIDE, SIDE, 3))


def body(name="body"):
    inner = image()
    x = L.Conv2D(4, 3, name="conv")(inner)
    x = L.BatchNormalization()(x)
    x = L.Add()([x, L.Conv2D(4, 3, padding="same", name="again")(x)])
    return keras.Model(inner, L.ReLU(name="out")(x), name=name)


def of_the_guide():
    """Keras' transfer learning guide: augmentation, scaling, a network called with training=False, pooling, dropout, dense."""
    start = image()
    x = keras.Sequential([L.RandomFlip("horizontal")])(start)
    x = body()(L.Rescaling(1 / 127.5, -1)(x), training=False)
    x = L.Dropout(0.2)(L.GlobalAveragePooling2D()(x))
    return keras.Model(start, L.Dense(2, "softmax")(x))


def in_a_sequential():
    return keras.Sequential([image(), L.Rescaling(1 / 255), body(), L.Flatten(), L.Dense(5, "softmax")])


def nested_twice():
    return keras.Sequential(
        [image(), keras.Sequential([image(), body(), L.MaxPooling2D()]), L.GlobalAveragePooling2D(), L.Dense(3)]
    )


def names_alike():
    start = image()
    x = body("second")(L.Conv2D(3, 1, name="conv")(start))
    return keras.Model(start, L.Dense(2, "sigmoid", name="out")(L.GlobalAveragePooling2D()(x)))


def of_operations():
    """As `preprocess_input` leaves them in a graph."""
    start = image()
    x = body()(start / 127.5 - 1)
    return keras.Model(start, L.Dense(2)(L.GlobalAveragePooling2D()(x * 2 + 1)))


MODELS = {it.__name__: it for it in (of_the_guide, in_a_sequential, nested_twice, names_alike, of_operations)}


@pytest.mark.parametrize("name", MODELS)
def test_a_flat_graph_answers_alike(name):
    model = MODELS[name]()
    for layer in model._flatten_layers():
        if isinstance(layer, L.BatchNormalization) and layer.built:
            layer.set_weights(
                [np.random.default_rng(1).uniform(0.5, 2, weight.shape) for weight in layer.get_weights()]
            )
    flat = inlined(model)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    assert len({layer.name for layer in flat.layers}) == len(flat.layers) and cuts(flat)
    np.testing.assert_allclose(flat.predict(PIXELS, verbose=0), model.predict(PIXELS, verbose=0), atol=1e-5)
    assert inlined(flat) is flat


CUT = {"of_the_guide": "out", "in_a_sequential": "out", "nested_twice": "max_pooling2d", "names_alike": "second_out"}


@pytest.mark.parametrize("name", CUT)
def test_classes_are_cut_off_and_that_is_said(name, tmp_path):
    path = tmp_path / "mine.keras"
    MODELS[name]().save(path)
    spec = ModelSpec(backbone=str(path), image_size=SIDE)
    with pytest.warns(KerastlWarning, match="ends in (probabilities|logits) of classes, which are cut off") as told:
        found = pretrained(spec).model
    assert len(found.output_shape) == 4 and found.output_shape[3] == 4
    assert f"those of '{found.layers[-1].name}'" in str(told[0].message)
    kept = pretrained(ModelSpec(backbone=str(path), image_size=SIDE, features="predictions")).model
    assert len(kept.output_shape) == 2


def test_without_a_feature_map_it_ends_before_the_last_dense_layer():
    model = keras.Sequential([image(), L.Flatten(), L.Dense(8, "relu", name="wide"), L.Dense(2, "softmax")])
    found, ends_at, _ = without_classes(inlined(model))
    assert ends_at == "wide" and found.output_shape == (None, 8)


@pytest.mark.parametrize("build", [of_the_guide, in_a_sequential])
def test_it_trains_from_there(build, tiny, tmp_path):
    from kerastl.run import train

    build().save(tmp_path / "mine.keras")
    changes = {"model.backbone": str(tmp_path / "mine.keras"), "model.image_size": SIDE, "export.formats": ["keras"]}
    changes |= {"export.folder": str(tmp_path / "exports"), "baseline": None}
    with pytest.warns(KerastlWarning, match="cut off"):
        run = train(tiny("cifar10-freeze-first", "finetune-first", **changes), tmp_path / "run")
    assert run.metrics["exports"]["keras"]["max_difference"] < 1e-5


def test_other_operations_are_told(tmp_path):
    start = image()
    keras.Model(start, L.Dense(2)(keras.ops.mean(body()(start), axis=(1, 2)))).save(tmp_path / "mine.keras")
    with pytest.raises(
        UserError, match=r"cannot be followed \(.*mean.* is an operation outside a layer; expected layers"
    ):
        pretrained(ModelSpec(backbone=str(tmp_path / "mine.keras"), image_size=SIDE))
