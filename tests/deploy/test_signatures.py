"""What a SavedModel is asked and answers, in TensorFlow's terms."""

import io

import numpy as np
import pytest
import tensorflow as tf
from exported import LABELS, PIXELS
from PIL import Image

from kerastl.data.images import decode
from kerastl.deploy.export import export
from kerastl.deploy.signatures import decode_batch


@pytest.fixture(scope="module")
def loaded(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("signatures")
    export(small, folder, ["saved_model"], PIXELS, LABELS)
    return tf.saved_model.load(folder / "saved_model")


def encoded(pixels, kind, mode="RGB"):
    """The bytes of a file; of mode P2, P4 and P16 with so many colours, which PNG keeps in 1, 2 and 4 bits."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image = image.quantize(int(mode[1:])) if mode[1:].isdecimal() else image.convert(mode)
    image.save(file, kind)
    return file.getvalue()


def test_the_signatures(loaded):
    told = {
        name: (next(iter(signature.structured_input_signature[1].values())), signature.structured_outputs)
        for name, signature in loaded.signatures.items()
    }
    assert {name: (spec.name, spec.dtype.name, spec.shape.as_list()) for name, (spec, _) in told.items()} == {
        "serving_default": ("image", "float32", [None, 16, 16, 3]),
        "uint8": ("image", "uint8", [None, 16, 16, 3]),
        "encoded": ("image_bytes", "string", [None]),
    }
    assert all(
        list(outputs) == ["probabilities"] and outputs["probabilities"].shape.as_list() == [None, 3]
        for _, outputs in told.values()
    )


def test_they_answer_alike(loaded):
    floats = loaded.signatures["serving_default"](image=tf.constant(PIXELS, tf.float32))["probabilities"]
    whole = loaded.signatures["uint8"](image=tf.constant(PIXELS))["probabilities"]
    files = tf.constant([encoded(pixels, "PNG") for pixels in PIXELS])
    bytes_ = loaded.signatures["encoded"](image_bytes=files)["probabilities"]
    np.testing.assert_array_equal(floats, whole)
    np.testing.assert_allclose(floats, bytes_, atol=1e-6)
    assert loaded.signatures["encoded"](image_bytes=files[:1])["probabilities"].shape == (1, 3)


def test_an_answer_to_a_photo_is_that_of_its_middle_square(loaded):
    photo = np.random.default_rng(1).integers(0, 256, (40, 61, 3), dtype=np.uint8)
    png = encoded(photo, "PNG")
    found = loaded.signatures["encoded"](image_bytes=tf.constant([png]))["probabilities"]
    pixels = tf.constant(decode(png, 16)[None])
    np.testing.assert_allclose(found, loaded.signatures["uint8"](image=pixels)["probabilities"], atol=0.01)


@pytest.mark.parametrize("size", [(24, 24), (90, 90), (30, 50)])
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", mode) for mode in ("RGB", "L", "RGBA", "P", "LA", "1", "P2", "P4", "P16")]
    + [("JPEG", mode) for mode in ("RGB", "L", "CMYK")],
)
def test_pixels_are_pillow_s_within_a_grey_level(kind, mode, size):
    pixels = np.random.default_rng(2).integers(0, 256, (50, 71, 4), dtype=np.uint8)
    file = encoded(pixels if mode in ("RGBA", "LA") else pixels[..., :3].copy(), kind, mode)
    found = decode_batch(tf.constant([file]), size).numpy()[0]
    assert np.abs(found - decode(file, size)).max() <= 1
