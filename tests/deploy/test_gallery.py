"""What the page shows is what is in the folder, what was looked at, and what predict says."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

import kerastl
from kerastl.deploy import gallery
from kerastl.deploy.classifier import open_model
from kerastl.errors import UserError
from kerastl.files import write_text


@pytest.fixture(scope="module")
def classifier(finished):
    return open_model(finished.exports)


def encoded(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_models_are_those_in_the_folder(finished, tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").touch()
    (tmp_path / "alone.onnx").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden.keras").touch()
    (tmp_path / "out").symlink_to(finished.exports)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    assert list(gallery.models_in(tmp_path)) == ["a", "again", "alone.onnx", "b"]


@pytest.mark.parametrize(
    ("folder", "told"), [("nowhere", "no such folder; expected one with run folders"), ("", "no model")]
)
def test_a_folder_without_models_is_told(tmp_path, folder, told):
    with pytest.raises(UserError, match=told):
        gallery.models_in(tmp_path / folder)


@pytest.mark.parametrize("changed", ["model.keras", "labels.json"])
def test_what_was_written_again_is_opened_again(tmp_path, changed):
    for name in ("model.keras", "labels.json"):
        (tmp_path / name).write_text(name)
    before = gallery.stamp(tmp_path), gallery.stamp(tmp_path / "model.keras")
    write_text(tmp_path / changed, "other")
    after = gallery.stamp(tmp_path), gallery.stamp(tmp_path / "model.keras")
    assert after[0] > before[0] and after[1] > before[1]


def test_a_picture_is_shown_upright_and_small_and_seen_as_predict_sees_it(classifier):
    tags = Image.Exif()
    tags[0x0112] = 6
    raw = encoded(noise(1300, 700), "JPEG", exif=tags)
    picture = gallery.look_at("a.jpg", raw, classifier.size)
    assert picture.shown.size == (345, 640) and picture.pixels.shape == (8, 8, 3) and picture.error is None
    [answer], milliseconds = gallery.answers(classifier, [picture])
    [expected] = kerastl.predict(classifier, raw, top=None)
    assert answer.said.classes == expected.classes and answer.said.probabilities == pytest.approx(
        expected.probabilities
    )
    assert answer.said.file == "a.jpg" and 0 < milliseconds < 60_000
    assert answer.heat.shape == (8, 8) and answer.heat.max() == 1.0


BAD = {
    "text": (b"no picture", "not an image"),
    "nothing": (b"", "the file is empty"),
    "half": (encoded(noise(200, 200))[:5000], "truncated"),
    "a bomb": (encoded(Image.new("1", (14_000, 13_000))), "more pixels than Pillow takes for safe"),
    "another format": (encoded(noise(9, 9), "BMP"), "a picture of format BMP; expected JPEG, PNG or WebP"),
    "too many bytes": (bytes(20_000_001), "20 MB; expected at most 20 MB: make it smaller"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_uploads_are_told(case):
    raw, told = BAD[case]
    picture = gallery.look_at("x.png", raw, 8)
    assert told in picture.error and picture.pixels is None and picture.shown is None


def test_a_file_without_layers_answers_without_heat(finished):
    classifier = open_model(finished.exports / "saved_model")
    [answer], _ = gallery.answers(classifier, [gallery.look_at("x.png", encoded(noise(9, 9)), classifier.size)])
    assert answer.heat is None and len(answer.said.classes) == 10


def test_examples_are_pictures_and_those_of_the_model_come_first(tmp_path):
    (tmp_path / "examples").mkdir()
    noise(20, 20).save(tmp_path / "examples" / "mine.png")
    found = gallery.examples(tmp_path)
    assert list(found)[:2] == ["mine.png", "Photo of a flower"] and "Scan of a 3" in found
    assert all(gallery.look_at(name, item, 8).error is None for name, item in found.items())


def test_the_table_holds_every_probability_in_label_order(classifier):
    pictures = [gallery.look_at(name, encoded(noise(9, 9, seed)), classifier.size) for seed, name in enumerate("ab")]
    found, _ = gallery.answers(classifier, pictures)
    header, *rows = csv.reader(gallery.table([it.said for it in found], classifier.class_names).splitlines())
    expected = classifier.answer(np.stack([it.pixels for it in pictures]))
    assert header == ["file", *"0123456789"] and [row[0] for row in rows] == ["a", "b"]
    np.testing.assert_allclose(np.array([row[1:] for row in rows], float), expected, rtol=1e-5)


def test_small_pictures_are_enlarged_pixel_by_pixel():
    pixels = np.asarray(noise(8, 4))
    large = gallery.enlarged(pixels, edge=320)
    assert (
        large.shape == (160, 320, 3) and (large[::40, ::40] == pixels).all() and (large[:40, :40] == pixels[0, 0]).all()
    )


def test_a_report_is_data_in_a_frame_that_may_do_nothing(tmp_path):
    assert gallery.report_of(tmp_path) is None
    (tmp_path / "report.html").write_text('<p title="}{">"><script>alert(1)</script>')
    sealed = gallery.sealed(gallery.report_of(tmp_path))
    assert sealed.index("default-src 'none'") < sealed.index("<iframe sandbox title=") < sealed.index("}{")
    assert "<script>" not in sealed and "&lt;script&gt;" in sealed


# Parts of a model that lead out of the models folder: where the link stands, and in what kind of model.
LINKS = {
    "the model": "a/model.keras",
    "its labels": "a/labels.json",
    "any other file": "a/history.csv",
    "the variables of a SavedModel": "a/saved_model/variables",
    "a file of the variables": "a/saved_model/variables/variables.index",
    "the whole SavedModel": "a/saved_model",
    "labels beside a file": "labels.json",
}


@pytest.mark.parametrize("name", LINKS)
def test_a_model_of_which_a_part_is_a_link_is_refused(tmp_path, name):
    secret, models = tmp_path / "secret", tmp_path / "models"
    (secret / "folder").mkdir(parents=True)
    (secret / "file").touch()
    link = models / LINKS[name]
    link.parent.mkdir(parents=True)
    path = models / "b.keras" if link.parent == models else models / "a"
    if path.suffix:
        path.touch()
    gallery.refuse_links_of(path)
    link.symlink_to(secret / ("folder" if link.suffix == "" else "file"))
    with pytest.raises(UserError, match="is a link"):
        gallery.refuse_links_of(path)


def test_a_report_is_shown_where_it_is_a_file(tmp_path):
    (tmp_path / "report.html").write_bytes(b"<p>\xff")
    assert gallery.report_of(tmp_path) == "<p>\ufffd"
    (tmp_path / "report.html").unlink()
    assert gallery.report_of(tmp_path) is None
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UserError, match="is no file of this folder"):
        gallery.report_of(tmp_path)
