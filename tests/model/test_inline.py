"""Models as tutorials leave them, as backbones: networks within networks, Sequentials, and some that end in their classes."""

import keras
import numpy as np
import pytest

from kerastl.errors import KerastlWarning, UserError
from kerastl.model.cut import cuts
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.model.inline import inlined, without_classes
from kerastl.model.pretrained import pretrained
from kerastl.schema import ModelSpec, Normalize

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


def test_it_trains_from_there(tiny, tmp_path):
    from kerastl.run import train

    of_the_guide().save(tmp_path / "mine.keras")
    changes = {"model.backbone": str(tmp_path / "mine.keras"), "model.image_size": SIDE, "export.formats": ["keras"]}
    changes |= {"export.folder": str(tmp_path / "exports"), "baseline": None}
    with pytest.warns(KerastlWarning, match="cut off"):
        run = train(tiny("cifar10-freeze-first", "finetune-first", **changes), tmp_path / "run")
    assert run.metrics["exports"]["keras"]["max_difference"] < 1e-5


# How a model of one's own ends -> the shape of its features, and what it is said to end in.
ENDS = {
    "softmax, float32, dropout": (
        lambda x: L.Dropout(0.1)(L.Activation("linear")(L.Softmax()(L.Dense(3)(L.GlobalAveragePooling2D()(x))))),
        (14, 14, 4),
        "probabilities",
    ),
    "softmax of an operation": (
        lambda x: keras.ops.softmax(L.Dense(3)(L.GlobalAveragePooling2D()(x))),
        (14, 14, 4),
        "probabilities",
    ),
    "one sigmoid": (lambda x: L.Dense(1, "sigmoid")(L.Flatten()(x)), (14, 14, 4), "probabilities"),
    "logits": (lambda x: L.Dense(3)(L.Dense(8, "relu")(L.Flatten()(x))), (14, 14, 4), "logits"),
    "a convolution, then softmax": (
        lambda x: L.Softmax()(L.GlobalAveragePooling2D()(L.Conv2D(3, 1)(x))),
        (14, 14, 4),
        "probabilities",
    ),
    "maps of classes": (lambda x: L.Conv2D(3, 1, activation="softmax")(x), (14, 14, 4), "probabilities"),
    "features of a dense layer": (lambda x: L.Dense(8, "relu")(L.GlobalAveragePooling2D()(x)), (8,), None),
    "residual, by operations": (lambda x: keras.ops.relu(x + x), (14, 14, 4), None),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends(name, tmp_path, recwarn):
    ends, shape, what = ENDS[name]
    start = keras.Input(batch_shape=(2, SIDE, SIDE, 3))
    keras.Model([start], ends(body()(start))).save(tmp_path / "mine.keras")
    found = pretrained(ModelSpec(backbone=str(tmp_path / "mine.keras"), image_size=SIDE)).model
    told = [str(it.message) for it in recwarn if issubclass(it.category, KerastlWarning)]
    assert found.output_shape == (None, *shape)
    assert not told if what is None else f"ends in {what} of classes, which are cut off" in told[0]


def test_names_of_our_layers_are_free(tmp_path):
    start = keras.Input((SIDE, SIDE, 3), name="image")
    x = body()(L.Rescaling(1 / 255, name="preprocess")(L.Resizing(SIDE, SIDE, name="resize")(start, training=False)))
    x = L.Dense(3, name="logits")(L.GlobalAveragePooling2D(name="features")(x))
    keras.Model(start, L.Softmax(name="probabilities")(x)).save(tmp_path / "mine.keras")
    spec = ModelSpec(str(tmp_path / "mine.keras"), image_size=SIDE, features="predictions")
    model = build_model(spec, (8, 8, 3), 5)
    assert model.output_shape == (None, 5) and list(layer_groups(model, spec.backbone)) == ["backbone", "head"]
    assert {"preprocess_", "features_", "logits_", "probabilities_"} <= {it.name for it in model.layers}


REFUSED = {
    "several outputs": (lambda x: [x, L.GlobalAveragePooling2D()(x)], "has 2 outputs; expected one, or a layer of it"),
    "shared weights": (
        lambda x: (lambda layer: L.Add()([layer(x), layer(L.ReLU()(x))]))(L.Conv2D(4, 1, name="twice")),
        "twice is called more than once, with the same weights",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    ends, told = REFUSED[name]
    start = image()
    keras.Model(start, ends(body()(start))).save(tmp_path / "mine.keras")
    with pytest.raises(UserError, match=told):
        pretrained(ModelSpec(str(tmp_path / "mine.keras"), image_size=SIDE))


def test_probabilities_of_pixels_are_no_features(tmp_path):
    keras.Sequential([image(), L.Rescaling(1 / 255), L.Flatten(), L.Dense(3, "softmax")]).save(tmp_path / "mine.keras")
    with pytest.raises(UserError, match="ends in probabilities of classes and has no features before them"):
        pretrained(ModelSpec(str(tmp_path / "mine.keras"), image_size=SIDE))


def test_scaled_twice_is_said(tmp_path):
    keras.Sequential([image(), L.Rescaling(1 / 255, name="scaling"), body()]).save(tmp_path / "mine.keras")
    spec = ModelSpec(str(tmp_path / "mine.keras"), image_size=SIDE, preprocessing=Normalize((0.5,) * 3, (0.5,) * 3))
    with pytest.warns(KerastlWarning, match="scales its pixels itself, by its layer 'scaling'.*: twice"):
        pretrained(spec)


def test_other_operations_are_told(tmp_path):
    start = image()
    keras.Model(start, L.Dense(2)(keras.ops.mean(body()(start), axis=(1, 2)))).save(tmp_path / "mine.keras")
    with pytest.raises(
        UserError, match=r"cannot be followed \(.*mean.* is an operation outside a layer; expected layers"
    ):
        pretrained(ModelSpec(backbone=str(tmp_path / "mine.keras"), image_size=SIDE))
