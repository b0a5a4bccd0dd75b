"""Models that other people made, in every kind of file: whatever numbers they take and give, the answer is the same."""

import json
import warnings

import keras
import numpy as np
import pytest

from kerastl.deploy.classifier import as_classifier, open_model
from kerastl.deploy.labels import ENDS_OF_LINES, one_line_each
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


def onnx_model(path, taken="FLOAT", batch="n", outputs=("probabilities",)):
    """Brightness twice, once the other way round; without softmax as "logits"."""
    onnx = pytest.importorskip("onnx")
    node, value, info = onnx.helper.make_node, onnx.numpy_helper.from_array, onnx.helper.make_tensor_value_info
    kind = getattr(onnx.TensorProto, taken)
    numbers = kind if "FLOAT" in taken else onnx.TensorProto.FLOAT
    dtype = np.float16 if taken == "FLOAT16" else np.float32
    nodes = [
        node("Cast", ["image"], ["pixels"], to=numbers),
        node("ReduceMean", ["pixels"], ["features"], axes=[1, 2], keepdims=0),
        node("MatMul", ["features", "weights"], ["product"]),
        node("Add", ["product", "bias"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights = [value(np.array([[4, -4]] * 3, dtype) / dtype(255), "weights"), value(np.array([-6, 6], dtype), "bias")]
    given = [info(name, numbers, [batch, 3 if name == "features" else 2]) for name in outputs]
    graph = onnx.helper.make_graph(nodes, "g", [info("image", kind, [batch, SIDE, SIDE, 3])], given, weights)
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
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx(name, tmp_path):
    pytest.importorskip("onnxruntime")
    onnx_model(tmp_path / "m.onnx", **ONNX[name])
    assert sort_of(tmp_path / "m.onnx") == EXPECTED


def test_onnx_logits_and_outputs_that_cannot_be_told_apart(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx_model(tmp_path / "m.onnx", outputs=("logits",))
    with pytest.warns(KerastlWarning, match="answers with logits"):
        assert sort_of(tmp_path / "m.onnx") == EXPECTED
    onnx_model(tmp_path / "m.onnx", outputs=("logits", "probabilities"))
    with pytest.raises(UserError, match=r"has the outputs logits \(2\), probabilities \(2\); expected one"):
        open_model(tmp_path / "m.onnx")
    onnx_model(tmp_path / "m.onnx", taken="INT8")
    with pytest.raises(UserError, match="takes int8; expected pixels from 0 to 255"):
        open_model(tmp_path / "m.onnx")


def saved_model(path, dtype, names=("probabilities",), batch=None, signature="serving_default"):
    import tensorflow as tf

    def answer(image):
        share = tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]) / 255
        logits = tf.concat([share[:, :1], 1 - share[:, :1]], 1) * 8
        given = {"features": share, "probabilities": tf.nn.softmax(logits), "again": tf.nn.softmax(logits)}
        return {name: given[name] for name in names}

    module = tf.Module()
    module.answer = tf.function(answer, input_signature=[tf.TensorSpec([batch, SIDE, SIDE, 3], dtype, name="image")])
    tf.saved_model.save(module, path, signatures={signature: module.answer.get_concrete_function()})


SAVED = {
    "uint8": {"dtype": "uint8"},
    "float16": {"dtype": "float16"},
    "one at a time": {"dtype": "float32", "batch": 1},
    "two outputs": {"dtype": "float32", "names": ("features", "probabilities")},
    "a signature of another name": {"dtype": "float32", "signature": "predict"},
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
    "logarithms": (lambda: small_model(dense(2, "log_softmax")), "answers with logits", True),
    "another activation": (lambda: small_model(dense(2, "softsign")), "what softsign gives", True),
    "sides of 1": (lambda: small_model(dense(2, "softmax"), keras.layers.Reshape((1, 1, 2))), None, True),
}


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


def of_a_dict():
    """The order of a dict is not that of its outputs."""
    image = keras.Input((SIDE, SIDE, 3), name="image")
    features = keras.layers.GlobalAveragePooling2D()(image)
    return keras.Model({"image": image}, {"z": features, "a": dense(2, "softmax")(features)})


def test_of_a_dict_the_output_that_the_labels_name(tmp_path):
    of_a_dict().save(tmp_path / "model.keras")
    (tmp_path / "labels.json").write_text('{"classes": ["bright", "dark"]}')
    assert open_model(tmp_path / "model.keras").answer(PIXELS).argmax(axis=1).tolist() == [0, 1, 0, 1, 1]


def without_numbers():
    model = small_model(dense(2, "softmax"))
    model.layers[-1].set_weights([np.full((3, 2), np.nan), np.zeros(2)])
    return model


# What cannot answer: how it is made, and what is said.
REFUSED = {
    "NaN": (without_numbers, "answers with NaN, which is no number"),
    "no inputs yet": (lambda: keras.Sequential([keras.layers.Flatten(), dense(2)]), "has no inputs yet"),
    "grey": (lambda: of_shape((SIDE, SIDE, 1)), r"\(None, 8, 8, 1\); .* Its pictures are grey"),
    "channels first": (lambda: of_shape((3, SIDE, SIDE)), r"\(None, 3, 8, 8\); .* It takes the channels first"),
    "an open size": (lambda: of_shape((None, None, 3)), "Its size is open: fix it"),
    "no image": (lambda: of_shape((4,)), r"takes inputs of shape \(None, 4\); expected images"),
}


def of_shape(shape):
    image = keras.Input(shape)
    pooled = keras.layers.GlobalAveragePooling2D()(image) if len(shape) == 3 else image
    return keras.Model(image, keras.layers.Dense(2)(pooled))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_answer_says_why(name):
    build, told = REFUSED[name]
    with pytest.raises(UserError, match=told):
        as_classifier(build()).answer(PIXELS)


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
