"""Answers are the model's, for whatever is an image, whatever kind of file the model is in, and in constant memory."""

import io
import itertools
import tracemalloc
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import kerastl
from kerastl.data.decode import decode
from kerastl.deploy.classifier import open_model
from kerastl.deploy.predict import predict, predict_stream
from kerastl.errors import UserError
from kerastl.evaluate.calibration import with_temperature

TURNED = 6  # EXIF: show me a quarter to the right


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Scans of digits as people keep pictures: sizes, formats, modes, folders, one of them lying on its side."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "more").mkdir()
    tags = Image.Exif()
    tags[0x0112] = TURNED
    ways = itertools.cycle(
        [
            ("0.png", (8, 8), {}),
            ("1.jpg", (90, 61), {"quality": 95}),
            ("more/2.webp", (33, 70), {"lossless": True}),
            ("more/3.jpg", (64, 64), {"quality": 95, "exif": tags}),
            ("4.tif", (20, 20), {}),
        ]
    )
    for number, scan in enumerate(load_digits().images[:15]):
        name, size, options = next(ways)
        path = (folder / name).with_stem(f"{number:02}")
        Image.fromarray((scan * 15.9).astype(np.uint8)).resize(size).save(path, **options)
    return folder


@pytest.fixture(scope="module")
def everywhere(finished, tmp_path_factory):
    """The model of the tiny run as every kind of file there is."""
    folder = tmp_path_factory.mktemp("everywhere")
    (folder / "labels.json").write_text((finished.exports / "labels.json").read_text())
    finished.model.predict(np.zeros((1, 8, 8, 3)), verbose=0)  # Keras exports no model to ONNX that was never called
    finished.model.export(folder / "any.onnx", format="onnx", verbose=False)
    finished.model.export(folder / "any.tflite", format="litert", verbose=False)
    exports = [finished.exports / name for name in ("model.keras", "model.h5", "saved_model")]
    return [finished.folder, finished.exports, *exports, folder / "any.onnx", folder / "any.tflite"]


def files(folder):
    return sorted(str(path) for path in folder.rglob("*.*"))


@pytest.mark.parametrize("flip", [False, True])
def test_every_kind_of_file_answers_as_the_model_in_memory(everywhere, finished, scans, flip):
    names = sorted(files(scans))
    pixels = np.stack([decode(io.FileIO(name).readall(), 8) for name in names])
    expected = finished.model.predict(pixels, verbose=0)
    if flip:
        expected = (expected + finished.model.predict(pixels[:, :, ::-1], verbose=0)) / 2
    expected = with_temperature(expected, finished.metrics["temperature"]["value"] or 1.0)
    for path in everywhere:
        answers = predict(path, scans, top=None, batch=4, flip=flip)
        assert [it.file for it in answers] == names, path
        for answer, row in zip(answers, expected, strict=True):
            assert answer.classes[0] == str(row.argmax()) and list(answer.probabilities) == sorted(
                answer.probabilities, reverse=True
            )
            given = dict(zip(answer.classes, answer.probabilities, strict=True))
            np.testing.assert_allclose([given[str(digit)] for digit in range(10)], row, atol=1e-5, err_msg=str(path))


@pytest.fixture(scope="module")
def brightness():
    """Three classes, as probable as red, green and blue are bright; it notes how large the batches are."""
    image = keras.Input((4, 4, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Softmax()(mean))


def red(size=(30, 20), mode="RGB"):
    return Image.new("RGB", size, "red").convert(mode)


def encoded(image, form="PNG"):
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


WAYS = {
    "path": lambda folder: folder / "red.png",
    "path as text": lambda folder: str(folder / "red.png"),
    "folder": lambda folder: folder,
    "bytes": lambda folder: encoded(red(), "GIF"),
    "Pillow image": lambda folder: red(mode="CMYK"),
    "Pillow image of a file": lambda folder: Image.open(folder / "red.png"),
    "array": lambda folder: np.asarray(red()),
    "list": lambda folder: [folder / "red.png"],
    "arrays": lambda folder: np.asarray(red())[None],
    "generator": lambda folder: (it for it in [np.asarray(red())]),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_is_an_image(brightness, tmp_path, way):
    red().save(tmp_path / "red.png")
    [answer] = predict(brightness, WAYS[way](tmp_path), top=1, class_names=["red", "green", "blue"])
    assert answer.classes == ("red",) and answer.error is None
    assert answer.probabilities[0] == pytest.approx(np.e / (np.e + 2), abs=1e-5)
    named = isinstance(WAYS[way](tmp_path), (str, type(tmp_path), list))
    assert answer.file == (str(tmp_path / "red.png") if named else "image 0")


def test_classes_without_names_are_numbered(brightness):
    assert predict(brightness, red(), top=2)[0].classes == ("class 0", "class 1")


def test_the_temperature_is_applied_to_the_mean(brightness):
    plain = kerastl.deploy.classifier.as_classifier(brightness)
    one, two = (predict(replace(plain, temperature=t), red(), flip=True)[0].probabilities for t in (1.0, 2.0))
    roots = np.sqrt(one)
    np.testing.assert_allclose(two, roots / roots.sum(), atol=1e-6)


def test_broken_ones_are_named_where_they_stand(brightness, tmp_path):
    for name in ("1.png", "3.png", "5.png"):
        red().save(tmp_path / name)
    (tmp_path / "2.png").write_text("no picture")
    (tmp_path / "4.jpg").write_bytes(b"")
    (tmp_path / "6.png").write_bytes(encoded(red((300, 300)))[:100])
    answers = predict(brightness, [tmp_path, tmp_path / "gone.png", np.zeros((4, 4, 3)), 7], batch=2)
    errors = [it.error for it in answers]
    assert errors[0] is errors[2] is errors[4] is None and all(it.classes for it in answers[0:5:2])
    assert errors[1].startswith("not an image") and errors[3] == "the file is empty" and "truncated" in errors[5]
    assert errors[6:8] == ["no such file, or not a regular one", "an array of float64; expected uint8, 0 to 255"]
    assert answers[7].file == "image 2" and answers[8].error and not answers[8].classes


def test_the_model_sees_one_shape_of_batch(brightness):
    shapes = []
    plain = kerastl.deploy.classifier.as_classifier(brightness)
    watched = replace(plain, raw=lambda images: shapes.append(len(images)) or plain.raw(images))
    for count in (10, 3):
        assert len(predict(watched, [red()] * count, batch=4)) == count
    assert shapes == [4, 4, 4, 3]


def test_more_images_than_memory(brightness):
    """An endless stream: what is held does not grow with what went through."""
    pixels = np.asarray(red((64, 64)))
    stream = predict_stream(brightness, (pixels.copy() for _ in itertools.count()), batch=16)
    held = []
    tracemalloc.start()
    try:
        for count, _ in enumerate(stream):
            if count in (400, 1600):
                held.append(tracemalloc.get_traced_memory()[0])
            if count == 1600:
                break
    finally:
        tracemalloc.stop()
        stream.close()
    assert held[1] < held[0] + 400_000, "1,200 images of 12 kB would be 15 MB"


@pytest.mark.parametrize(
    ("images", "more", "told"),
    [
        ("nowhere", {}, "nowhere: no such file or folder; expected an image, or a folder of images"),
        ("", {}, "found no image; expected files such as .jpg"),
        ("", {"class_names": ["a"]}, "class_names: found 1; .* has 3 classes"),
    ],
)
def test_what_the_user_can_mend(brightness, tmp_path, monkeypatch, images, more, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told):
        predict(brightness, images or tmp_path, **more)


def test_the_labels_of_a_folder_it_stands_in_are_not_those_of_a_model_in_memory(brightness, finished, monkeypatch):
    monkeypatch.chdir(finished.exports)
    assert open_model("model.keras").class_names == tuple("0123456789")
    assert predict(brightness, red(), top=1)[0].classes == ("class 0",)
