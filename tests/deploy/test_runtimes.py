"""Models that other people made, in every kind of file: whatever numbers they take and give, the answer is the same."""

import json
import warnings

import keras
import numpy as np
import pytest

from kerastl.deploy.classifier import _classifier, as_classifier, open_model
from kerastl.deploy.explain import explain
from kerastl.deploy.labels import ENDS_OF_LINES, one_line_each
from kerastl.deploy.predict import NO_NUMBERS, predict
from kerastl.deploy.runtimes import of_keras
from kerastl.errors import KerastlWarning, UserError

SIDE = 8
BRIGHT, DARK = (np.full((SIDE, SIDE, 3), shade, np.uint8) for shade in (250, 5))
PIXELS = np.stack([BRIGHT, DARK, BRIGHT, DARK, DARK])
CLASSES = ["bright", "dark"]


def sort_of(path):
    """What a model says of the pictures, as labels say it beside it."""
    (path.parent / "labels.json").write_text(json.dumps({"classes": CLASSES}))
    found = open_model(path).answer(PIXELS)
    assert found.shape == (5, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=0.02)
    return [CLASSES[place] for place in found.argmax(axis=1)]


EXPECTED = ["bright", "dark", "bright", "dark", "dark"]


def onnx_model(path, taken="FLOAT", batch="n", outputs=("probabilities",), sides=(SIDE, SIDE, 3)):
    """Brightness twice, once the other way round; without softmax as "logits", and as whole numbers, "eight bits" and "label"."""
    onnx = pytest.importorskip("onnx")
    node, value, info = onnx.helper.make_node, onnx.numpy_helper.from_array, onnx.helper.make_tensor_value_info
    kind = getattr(onnx.TensorProto, taken)
    numbers = kind if "FLOAT" in taken or taken == "DOUBLE" else onnx.TensorProto.FLOAT
    dtype = {"FLOAT16": np.float16, "DOUBLE": np.float64}.get(taken, np.float32)
    first, channels = sides[0] in (1, 3), min(side for side in (*sides, 3) if isinstance(side, int))
    nodes = [
        node("Cast", ["image"], ["pixels"], to=numbers),
        node("ReduceMean", ["pixels"], ["features"], axes=[2, 3] if first else [1, 2], keepdims=0),
        node("MatMul", ["features", "weights"], ["product"]),
        node("Add", ["product", "bias"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
        node("LogSoftmax", ["logits"], ["logarithms"], axis=1),
        node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
        node("Unsqueeze", ["probabilities", "last"], ["maps"]),
        node("Mul", ["probabilities", "shades"], ["share"]),
        node("Cast", ["share"], ["eight bits"], to=onnx.TensorProto.UINT8),
    ]
    slope = np.array([[12, -12]] * channels, dtype) / dtype(255 * channels)
    weights = [value(slope, "weights"), value(np.array([-6, 6], dtype), "bias"), value(dtype(255), "shades")]
    weights.append(value(np.array([2, 3]), "last"))
    kinds = {"label": onnx.TensorProto.INT64, "eight bits": onnx.TensorProto.UINT8}
    shapes = {"label": [batch], "maps": [batch, 2, 1, 1], "features": [batch, channels]}
    given = [info(name, kinds.get(name, numbers), shapes.get(name, [batch, 2])) for name in outputs]
    graph = onnx.helper.make_graph(nodes, "g", [info("image", kind, [batch, *sides])], given, weights)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)


ONNX = {
    "float": {},
    "float16": {"taken": "FLOAT16"},
    "uint8": {"taken": "UINT8"},
    "int32": {"taken": "INT32"},
    "one at a time": {"batch": 1},
    "two at a time": {"batch": 2, "taken": "UINT8"},
    "two outputs": {"outputs": ("features", "probabilities")},
    "two outputs, the other way round": {"outputs": ("probabilities", "features")},
    "float64": {"taken": "DOUBLE"},
    "uint16": {"taken": "UINT16"},
    "a label beside": {"outputs": ("label", "probabilities")},
    "maps of one pixel": {"outputs": ("maps",)},
}
# What is no matter of course, and what is said of it.
ONNX_SAID = {
    "channels first": ({"sides": (3, SIDE, SIDE)}, "takes channels first"),
    "channels first, uint8, one at a time": (
        {"sides": (3, SIDE, SIDE), "batch": 1, "taken": "UINT8"},
        "channels first",
    ),
    "grey": ({"sides": (SIDE, SIDE, 1)}, "takes grey pictures"),
    "grey, channels first": ({"sides": (1, SIDE, SIDE)}, "takes grey pictures"),
    "any size": ({"sides": ("h", "w", 3)}, "is given 224 x 224 pixels"),
    "logarithms": ({"outputs": ("logarithms",)}, "logarithms of probabilities"),
    "eight bits": ({"outputs": ("eight bits",)}, "numbers from 0 to 255"),
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx(name, tmp_path):
    pytest.importorskip("onnxruntime")
    onnx_model(tmp_path / "m.onnx", **ONNX[name])
    assert sort_of(tmp_path / "m.onnx") == EXPECTED


@pytest.mark.parametrize("name", ONNX_SAID)
def test_onnx_of_which_something_is_said(name, tmp_path):
    pytest.importorskip("onnxruntime")
    made, said = ONNX_SAID[name]
    onnx_model(tmp_path / "m.onnx", **made)
    with pytest.warns(KerastlWarning, match=said):
        assert sort_of(tmp_path / "m.onnx") == EXPECTED


def test_a_label_beside_needs_no_names(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx_model(tmp_path / "m.onnx", outputs=("label", "probabilities"))
    assert open_model(tmp_path / "m.onnx").class_names == ("class 0", "class 1")


def test_onnx_logits_and_outputs_that_cannot_be_told_apart(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx_model(tmp_path / "m.onnx", outputs=("logits",))
    with pytest.warns(KerastlWarning, match="answers with logits"):
        assert sort_of(tmp_path / "m.onnx") == EXPECTED
    onnx_model(tmp_path / "m.onnx", outputs=("logits", "probabilities"))
    with pytest.raises(UserError, match=r"has the outputs logits \(2\), probabilities \(2\); expected one"):
        open_model(tmp_path / "m.onnx")
    onnx_model(tmp_path / "m.onnx", outputs=("label",))
    with pytest.raises(UserError, match=r"no row of numbers for each image, but label \(int64 of shape \(1,\)\)"):
        open_model(tmp_path / "m.onnx")
    onnx_model(tmp_path / "m.onnx", taken="INT8")
    with pytest.raises(UserError, match="takes int8; expected pixels from 0 to 255"):
        open_model(tmp_path / "m.onnx")


def saved_model(path, dtype, names=("probabilities",), batch=None, signature="serving_default", sides=(SIDE, SIDE, 3)):
    import tensorflow as tf

    def answer(image):
        share = tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]) / 255 if dtype != "string" else tf.zeros((1, 3))
        logits = tf.concat([share[:, :1], 1 - share[:, :1]], 1) * 8
        given = {
            "names": tf.as_string(logits),
            "label": tf.argmax(logits, 1),
            "half": tf.cast(tf.nn.softmax(logits), tf.float16),
        }
        given |= {"features": share, "probabilities": tf.nn.softmax(logits), "again": tf.nn.softmax(logits)}
        return {name: given[name] for name in names}

    module = tf.Module()
    module.answer = tf.function(answer, input_signature=[tf.TensorSpec([batch, *sides], dtype, name="image")])
    tf.saved_model.save(module, path, signatures={signature: module.answer.get_concrete_function()})


SAVED = {
    "uint8": {"dtype": "uint8"},
    "float16": {"dtype": "float16"},
    "one at a time": {"dtype": "float32", "batch": 1},
    "two outputs": {"dtype": "float32", "names": ("features", "probabilities")},
    "a signature of another name": {"dtype": "float32", "signature": "predict"},
    "bfloat16": {"dtype": "bfloat16"},
    "names and a label beside": {"dtype": "float32", "names": ("names", "label", "probabilities")},
    "float16 out": {"dtype": "float32", "names": ("half",)},
}


@pytest.mark.parametrize("name", SAVED)
def test_saved_model(name, tmp_path):
    saved_model(tmp_path / "m", **SAVED[name])
    assert sort_of(tmp_path / "m") == EXPECTED


def test_saved_model_that_cannot_be_told(tmp_path):
    saved_model(tmp_path / "m", "float32", names=("again", "probabilities"))
    (tmp_path / "labels.json").write_text(json.dumps({"classes": CLASSES}))
    with pytest.raises(UserError, match=r"has the outputs again \(2\), probabilities \(2\)"):
        open_model(tmp_path / "m")
    saved_model(tmp_path / "n", "int8")
    with pytest.raises(UserError, match="takes int8; expected pixels"):
        open_model(tmp_path / "n")
    saved_model(tmp_path / "s", "string", sides=())
    with pytest.raises(UserError, match="takes strings, as of encoded images; expected pixels"):
        open_model(tmp_path / "s")


def small_model(*layers):
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.GlobalAveragePooling2D(), *layers])


def dense(columns, activation=None, divided=255.0, bias=(-12.0, 12.0)):
    """Bright is the first class; of one column the second, dark."""
    layer = keras.layers.Dense(columns, activation=activation)
    layer.build((None, 3))
    slope = np.array([[8.0, -8.0]] if columns == 2 else [[-8.0]]) / divided
    layer.set_weights([np.repeat(slope, 3, axis=0), np.array(bias[-columns:])])
    return layer


@pytest.mark.parametrize("numbers", ["int8", "uint8"])
def test_litert_of_integers_alone(numbers, tmp_path):
    import tensorflow as tf

    pytest.importorskip("ai_edge_litert")
    converter = tf.lite.TFLiteConverter.from_keras_model(small_model(dense(2, "softmax")))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None].astype("float32")] for image in (BRIGHT, DARK))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = getattr(tf, numbers)
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    assert sort_of(tmp_path / "m.tflite") == EXPECTED


def test_litert_that_takes_pixels_between_0_and_1_is_told(tmp_path):
    import tensorflow as tf

    pytest.importorskip("ai_edge_litert")
    converter = tf.lite.TFLiteConverter.from_keras_model(small_model(dense(2, "softmax", divided=1.0)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None].astype("float32") / 255] for image in (BRIGHT, DARK))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    with pytest.raises(
        UserError, match=r"takes pixels from \S+ to (0\.9\d*|1); expected a model that takes them as they are"
    ):
        open_model(tmp_path / "m.tflite")


# How a model ends, what is said, and whether the answers sum to 1.
ENDINGS = {
    "softmax": (lambda: small_model(dense(2, "softmax")), None, True),
    "a layer of its own": (lambda: small_model(dense(2), keras.layers.Softmax()), None, True),
    "an activation of its own": (lambda: small_model(dense(2), keras.layers.Activation("softmax")), None, True),
    "softmax, and then nothing much": (
        lambda: small_model(dense(2, "softmax"), keras.layers.Reshape((2,))),
        None,
        True,
    ),
    "logits": (lambda: small_model(dense(2)), "answers with logits", True),
    "logits of a model in a model": (
        lambda: keras.Sequential([keras.Input((SIDE, SIDE, 3)), small_model(dense(2))]),
        "answers with logits",
        True,
    ),
    "logits, reshaped": (lambda: small_model(dense(2), keras.layers.Reshape((2,))), "answers with logits", True),
    "sigmoids": (
        lambda: small_model(dense(2, "sigmoid", divided=3060.0, bias=(-1.0, 2.5))),
        "for each class by itself",
        False,
    ),
    "one sigmoid": (lambda: small_model(dense(1, "sigmoid")), None, True),
    "one logit": (lambda: small_model(dense(1)), "one logit", True),
    "one score": (lambda: small_model(dense(1, "tanh")), "one score between -1 and 1", True),
    "scores": (lambda: small_model(dense(2, "tanh")), "scores between -1 and 1", True),
    "logarithms": (lambda: small_model(dense(2, "log_softmax")), "logarithms of probabilities", True),
    "percent": (lambda: small_model(dense(2, "softmax"), keras.layers.Rescaling(100.0)), "percentages", True),
    "softmax, then float32": (
        lambda: small_model(dense(2, "softmax"), keras.layers.Activation("linear", dtype="float32")),
        None,
        True,
    ),
    "softmax on a model": (
        lambda: keras.Sequential([keras.Input((SIDE, SIDE, 3)), small_model(dense(2)), keras.layers.Softmax()]),
        None,
        True,
    ),
    "softmax of an operation": (lambda: functional(lambda x: keras.ops.softmax(dense(2)(x))), None, True),
    "maps of one pixel": (lambda: small_model(dense(2, "softmax"), keras.layers.Reshape((1, 1, 2))), None, True),
    "no column at all": (lambda: small_model(dense(1, "sigmoid"), keras.layers.Reshape(())), None, True),
    "a table": (lambda: functional(lambda x: {"it": dense(2, "softmax")(x)}), None, True),
}


def functional(head, **image):
    image = keras.Input(image.pop("shape", (SIDE, SIDE, 3)), **image)
    return keras.Model(image, head(keras.layers.GlobalAveragePooling2D()(image)))


@pytest.mark.parametrize("name", ENDINGS)
def test_every_ending_is_shown_as_probabilities(name):
    build, said, sums = ENDINGS[name]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        classifier = as_classifier(build())
    told = [str(each.message) for each in told if issubclass(each.category, KerastlWarning)]
    assert (said is None and not told) or (len(told) == 1 and said in told[0])
    found = classifier.answer(PIXELS)
    assert found.shape == (5, 2) and found.min() >= 0 and found.max() <= 1
    assert found.argmax(axis=1).tolist() == [0, 1, 0, 1, 1]
    assert not sums or np.allclose(found.sum(axis=1), 1, atol=1e-5)


# Models that are refused, and in which words.
REFUSED = {
    "softmax of one": (
        lambda: small_model(dense(1, "softmax")),
        "softmax over one column, which says the same of every",
    ),
    "a number": (lambda: functional(lambda x: keras.ops.argmax(dense(2)(x), axis=1)), r"no row of numbers .*int32"),
    "four channels": (lambda: functional(keras.layers.Dense(2), shape=(SIDE, SIDE, 4)), r"takes inputs of shape .*4\)"),
    "no picture": (lambda: keras.Sequential([keras.Input((12,)), keras.layers.Dense(2)]), "expected images"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_answer_is_refused(name):
    build, told = REFUSED[name]
    with pytest.raises(UserError, match=told):
        as_classifier(build())


def test_a_table_of_outputs_in_any_order(tmp_path):
    functional(lambda x: {"z": x, "a": dense(2, "softmax")(x)}).save(tmp_path / "m.keras")
    assert sort_of(tmp_path / "m.keras") == EXPECTED
    (tmp_path / "labels.json").write_text('{"classes": ["bright"]}')
    with pytest.raises(UserError, match="has the outputs"):
        open_model(tmp_path / "m.keras")


def test_an_answer_that_is_no_number_is_said_of_its_image():
    last = dense(2, "softmax")
    last.set_weights([np.full((3, 2), np.nan), np.zeros(2)])
    model = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), keras.layers.Conv2D(3, 1), keras.layers.GlobalMaxPooling2D(), last]
    )
    for told in (predict(model, BRIGHT), explain(model, BRIGHT, neighbours=0)):
        assert told[0].error == NO_NUMBERS and not told[0].classes
    last.activation = keras.activations.softplus  # a fused relu of NaN is 0 on some processors
    with pytest.raises(UserError, match="its answers are no numbers"):
        as_classifier(model)


# Models that Grad-CAM has to look into: nested, of whole numbers, with two outputs, with one column, with an odd end.
LOOKED_INTO = {
    "nested": lambda maps: [keras.Sequential([keras.Input((SIDE, SIDE, 3)), maps]), dense(2, "softmax")],
    "one column": lambda maps: [maps, dense(1, "sigmoid")],
    "a number alone": lambda maps: [maps, dense(1), keras.layers.Reshape(())],
    "one pixel": lambda maps: [maps, dense(2), keras.layers.Reshape((1, 1, 2)), keras.layers.Softmax()],
}


@pytest.mark.filterwarnings("ignore::kerastl.errors.KerastlWarning")
@pytest.mark.parametrize("name", [*LOOKED_INTO, "two outputs", "uint8"])
def test_where_other_models_look(name):
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8" if name == "uint8" else None)
    maps = keras.layers.Conv2D(3, 1, name="maps")
    pixels = keras.layers.Rescaling(1.0)(image)
    first, *rest = LOOKED_INTO.get(name, lambda maps: [maps, dense(2, "softmax")])(maps)
    features = keras.layers.GlobalAveragePooling2D()(first(pixels))
    x = features
    for layer in rest:
        x = layer(x)
    maps.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    model = keras.Model(image, {"features": features, "told": x} if name == "two outputs" else x)
    classifier = _classifier("m", "keras", of_keras(model, "m"), {"classes": CLASSES})
    spot = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    spot[0, 6, 1] = 255
    heat = classifier.evidence(spot, 0)
    assert np.argwhere(heat == heat.max()).tolist() == [[0, 6, 1]] and heat.max() == 1


def test_no_evidence_where_no_gradient_leads():
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.ops.argmax(dense(2)(keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 1)(image))), axis=1)
    with pytest.raises(UserError, match="no gradient leads from its answer back to its maps"):
        as_classifier(keras.Model(image, keras.ops.one_hot(x, 2))).evidence(PIXELS)


class OfTheirOwn(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize("build", [lambda: keras.Sequential([keras.layers.Flatten(), dense(2)]), OfTheirOwn])
def test_a_model_that_does_not_know_its_images(build):
    with pytest.raises(UserError, match=r"has no inputs yet; expected one, of images, as by keras.Input"):
        as_classifier(build())


def test_two_outputs_of_a_keras_model():
    image = keras.Input((SIDE, SIDE, 3))
    features = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, [features, dense(2, "softmax")(features)])
    with pytest.raises(UserError, match=r"has the outputs .*\(3\), .*\(2\); expected one, or a labels.json"):
        as_classifier(model)


LABELS = {
    "0": "temperature",
    "-1": "temperature",
    "NaN": "temperature",
    "Infinity": "temperature",
    "1e300": "temperature",
    '"1"': "temperature",
    "true": "temperature",
    "[1]": "temperature",
}


@pytest.mark.parametrize("value", LABELS)
def test_a_stranger_s_temperature(value, tmp_path):
    small_model(dense(2, "softmax")).save(tmp_path / "m.keras")
    (tmp_path / "labels.json").write_text(f'{{"classes": ["a", "b"], "temperature": {value}}}')
    with pytest.raises(UserError, match=r"labels.json: its labels cannot be used: temperature: found"):
        open_model(tmp_path / "m.keras")


def test_a_byte_order_mark_is_no_error(tmp_path):
    small_model(dense(2, "softmax")).save(tmp_path / "m.keras")
    (tmp_path / "labels.json").write_bytes(b'\xef\xbb\xbf{"classes": ["a", "b"], "temperature": 2}')
    assert open_model(tmp_path / "m.keras").class_names == ("a", "b")
    (tmp_path / "labels.json").write_text('{"classes": ["a", "b"], "superclasses": ["c"]}')
    with pytest.raises(UserError, match="found 1 superclasses; expected one for each of 2"):
        open_model(tmp_path / "m.keras")


NAMES = [
    f"dog{end}house" for end in ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_line(name):
    names = ["cat", name, name.encode("unicode_escape").decode(), "\\", ""]
    lines = one_line_each(names)
    assert [*"\n".join(lines).splitlines(), ""] == lines and len(set(lines)) == 5
    assert [line.encode().decode("unicode_escape") for line in lines] == names
    assert not any(map(ENDS_OF_LINES.search, lines))


def test_other_names_stay_as_they_are():
    assert one_line_each(["C:\\new", "été"]) == ["C:\\new", "été"]
