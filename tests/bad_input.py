"""Inputs that are bad, and what kerastl has to say of each; inputs that are only odd, and the pixels they are.

`tests/data/test_bad_input.py` takes them row by row, `benchmarks/bad_input.py` prints what is said.
"""

import os
import pickle

import numpy as np
from PIL import Image

from kerastl.data.cifar import CIFAR10, LAYOUTS
from kerastl.schema import DataSpec

SIDE = 16
RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def picture(left=RED, right=BLUE, mode="RGB"):
    """Two colours side by side."""
    image = Image.new(mode, (SIDE, SIDE), left)
    image.paste(right, (SIDE // 2, 0, SIDE, SIDE))
    return image


def scene(seed):
    """A picture as smooth as photos are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((120, 90), Image.Resampling.BICUBIC)


def photos(folder, counts, seed=0):
    """Random images, as {"train/cat": 3} says."""
    random = np.random.default_rng(seed)
    for place, count in counts.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / place / f"{number}.png")
    return DataSpec(f"folder:{folder}")


def saved(suffix, image, **options):
    def write(folder):
        image().save(folder / f"odd{suffix}", **options)
        return folder / f"odd{suffix}"

    return write


def sixteen_bits(left, right):
    return Image.fromarray(np.repeat([[left] * 8 + [right] * 8], SIDE, axis=0).astype(np.uint16))


def shades(mode, left, right):
    return lambda: picture(left, right, mode)


def turned():
    """Bright above, to be turned a quarter to the right: bright comes to the right."""
    image = Image.new("L", (SIDE, SIDE), 0)
    image.paste(255, (0, 0, SIDE, SIDE // 2))
    return image


def exif():
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


MOVING = {"save_all": True, "append_images": [picture(BLUE, RED)]}

# What is saved, and the colours that come out at the left and at the right.
ODD = {
    "CMYK": (saved(".tif", shades("CMYK", (0, 255, 255, 0), (255, 255, 0, 0))), RED, BLUE),
    "CMYK JPEG": (saved(".jpg", shades("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), quality=95), RED, WHITE),
    "palette": (saved(".png", lambda: picture().quantize(4)), RED, BLUE),
    "palette, one colour transparent": (saved(".gif", shades("P", 0, 255), transparency=0), WHITE, BLACK),
    "RGBA, the right half transparent": (saved(".png", shades("RGBA", (*RED, 255), (*BLUE, 0))), RED, WHITE),
    "RGBA, the right half at half": (saved(".png", shades("RGBA", (*RED, 255), (*BLACK, 128))), RED, (127, 127, 127)),
    "grey with alpha": (saved(".png", shades("LA", (100, 255), (0, 0))), (100, 100, 100), WHITE),
    "grey, one shade transparent": (saved(".png", shades("L", 100, 7), transparency=7), (100, 100, 100), WHITE),
    "grey": (saved(".jpg", shades("L", 255, 0), quality=95), WHITE, BLACK),
    "1 bit": (saved(".png", shades("1", 1, 0)), WHITE, BLACK),
    "16 bits": (saved(".png", lambda: sixteen_bits(65535, 100 * 257)), WHITE, (100, 100, 100)),
    "16 bits, dark": (saved(".tif", lambda: sixteen_bits(300, 0)), (1, 1, 1), BLACK),
    "16 bits, PGM": (saved(".pgm", lambda: sixteen_bits(65535, 100 * 257)), WHITE, (100, 100, 100)),
    "animated GIF: its first frame": (saved(".gif", picture, **MOVING), RED, BLUE),
    "animated PNG: its first frame": (saved(".png", picture, **MOVING), RED, BLUE),
    "animated WebP: its first frame": (saved(".webp", picture, lossless=True, **MOVING), RED, BLUE),
    "turned by EXIF": (saved(".png", turned, exif=exif()), BLACK, WHITE),
    "turned by EXIF, JPEG": (saved(".jpg", turned, exif=exif(), quality=95), BLACK, WHITE),
    "1 x 1": (saved(".png", lambda: Image.new("RGB", (1, 1), RED)), RED, RED),
    "1 x 400": (saved(".png", lambda: Image.new("RGB", (1, 400), BLUE)), BLUE, BLUE),
}


def among_photos(name, write):
    """A folder of good photos and one bad file."""

    def build(folder):
        spec = photos(folder, {"cat": 12, "dog": 12})
        write(folder / "cat" / name)
        return spec

    return build


def cut(name, image):
    """The first half of a file."""

    def write(path):
        image.save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return among_photos(name, write)


def noise():
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def content(name, raw):
    return among_photos(name, lambda path: path.write_bytes(raw))


def pixels_of(width, height):
    return among_photos("x.png", lambda path: Image.new("1", (width, height)).save(path))


def floats(path):
    Image.fromarray(np.linspace(-3, 900, 64, dtype=np.float32).reshape(8, 8)).save(path)


def link_out(place):
    """A link to a photo, or a folder of them, beside the dataset."""

    def build(folder):
        photos(folder / "elsewhere", {"bird": 12})
        spec = photos(folder / "photos", {"cat": 12, "dog": 12})
        target = folder / "elsewhere" / "bird"
        (folder / "photos" / place).symlink_to(target / "0.png" if place.endswith(".png") else target)
        return spec

    return build


def folder_of(counts, **keys):
    def build(folder):
        return DataSpec(photos(folder, counts).name, **keys)

    return build


def only_broken(folder):
    spec = photos(folder, {"cat": 12, "dog": 2})
    for path in (folder / "dog").iterdir():
        path.write_bytes(b"")
    return DataSpec(spec.name, on_error="skip")


def copies(folder):
    """Every image of a class is the same one, so the held-out copies leave none to train on."""
    spec = photos(folder, {"cat": 12, "dog": 1})
    for number in range(1, 12):
        (folder / "dog" / f"{number}.png").write_bytes((folder / "dog" / "0.png").read_bytes())
    return spec


def cifar(change):
    """CIFAR-10 in keras.datasets' layout, 20 images in a file, and what was done to it."""

    def build(folder):
        layout = LAYOUTS["cifar10"]
        (folder / layout.folder).mkdir()
        for file in (*layout.train_files, layout.test_file):
            data = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
            batch = {b"data": data, b"labels": [i % 10 for i in range(20)]}
            if file == "data_batch_3":
                batch = change(batch) or batch
            (folder / layout.folder / file).write_bytes(batch if isinstance(batch, bytes) else pickle.dumps(batch))
        if change is gone:
            (folder / layout.folder / "data_batch_3").unlink()
        return DataSpec("cifar10", dir=str(folder))

    return build


def half(batch):
    raw = pickle.dumps(batch)
    return raw[: len(raw) // 2]


def gone(batch):
    """Marks the file that is taken away."""


def label(value):
    def change(batch):
        batch[b"labels"][7] = value

    return change


def short(batch):
    batch[b"labels"] = batch[b"labels"][:15]


def prepared(name, change, labels=lambda i: i % 2, classes=("no", "yes")):
    """A dataset of TensorFlow Datasets of 40 images, and what was done to its one record file."""

    def build(folder):
        import tensorflow_datasets as tfds

        features = {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(names=classes),
        }
        pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
        rows = [(i, {"id": str(i), "image": image, "label": labels(i)}) for i, image in enumerate(pixels)]
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="3.0.2",  # CIFAR-10's, which is looked for
            data_dir=folder,
            features=tfds.features.FeaturesDict(features),
            split_datasets={"train": rows},
        )
        (record,) = (folder / name / "3.0.2").glob("*-train.tfrecord*")
        change(record)
        return DataSpec(name if name in LAYOUTS else f"tfds:{name}", dir=str(folder))

    return build


def cut_record(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def last_rows_gone(path):
    """Ends with a whole record, so that nothing but the count of them tells."""
    raw, place = path.read_bytes(), 0
    for _ in range(25):
        place += 16 + int.from_bytes(raw[place : place + 8], "little")
    path.write_bytes(raw[:place])


def flipped_bits(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 255
    path.write_bytes(bytes(raw))


def untouched(path):
    pass


AGAIN = r"delete .* and let it be prepared again"

# How the input is made, giving the `DataSpec` to be loaded; and what the error has to say.
BAD = {
    "zero bytes": (content("x.jpg", b""), r"1 of 25 images cannot be read:\n  cat/x\.jpg: the file is empty\nReplace"),
    "truncated JPEG": (cut("x.jpg", noise()), r"cat/x\.jpg: .*truncated"),
    "truncated PNG": (cut("x.png", noise()), r"cat/x\.png: .*truncated"),
    "truncated WebP": (cut("x.webp", noise()), r"cat/x\.webp: "),
    "header of a PNG and nothing more": (content("x.png", b"\x89PNG\r\n\x1a\n"), r"cat/x\.png: not an image"),
    "text named .jpg": (content("x.jpg", b"not found"), r"cat/x\.jpg: not an image, .*: convert it to JPEG or PNG"),
    "HEIC": (content("x.heic", b"\0\0\0\x18ftypheic"), r"cat/x\.heic: \.heic is a format .* convert it to JPEG or PNG"),
    "SVG": (content("x.svg", b"<svg/>"), r"cat/x\.svg: \.svg is a format"),
    "raw photo": (content("x.NEF", b"II*\0"), r"cat/x\.NEF: \.NEF is a format"),
    "PostScript": (
        content("x.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"),
        r"cat/x\.eps: a program in PostScript",
    ),
    "floating-point pixels": (among_photos("x.tif", floats), r"cat/x\.tif: pixels of mode F .* no known white"),
    "decompression bomb": (pixels_of(14_000, 13_000), r"cat/x\.png: more pixels than Pillow takes for safe"),
    "huge image": (pixels_of(9_500, 9_500), r"cat/x\.png: more pixels than Pillow takes for safe.*: make it smaller"),
    "pipe": (among_photos("x.png", os.mkfifo), r"cat/x\.png: no such file, or not a regular one"),
    "link to nothing": (among_photos("x.png", lambda path: path.symlink_to("gone.png")), r"cat/x\.png: no such file"),
    "link out of the folder": (
        link_out("cat/x.png"),
        r"cat/x\.png: a link to .*/elsewhere/bird/0\.png, outside .*; copy",
    ),
    "class that is a link out": (link_out("bird"), r"photos/bird: a link to .*/elsewhere/bird, outside .*photos; copy"),
    "no class folders": (folder_of({"": 3}), r"found the class folders none; expected two or more"),
    "one class only": (folder_of({"cat": 12}), r"found the class folders cat; expected two or more"),
    "empty class folder": (folder_of({"cat": 12, "dog": 0}), r"dog: found no image"),
    "class of nothing but broken images": (only_broken, r"none of the train images of dog can be read"),
    "test folder without train": (folder_of({"cat": 9, "dog": 9, "test/cat": 3}), r"found test and no train; expected"),
    "class in test alone": (
        folder_of({"train/cat": 9, "train/dog": 9, "test/bird": 2}),
        r"test: found the classes bird, which .*train has not",
    ),
    "test folder without classes": (
        folder_of({"train/cat": 9, "train/dog": 9, "test": 2}),
        r"test: found no class folders; expected some of those of .*train",
    ),
    "class of one image": (
        folder_of({"cat": 12, "dog": 1}),
        r"data\.test = 0\.2 .* without dog \(of which there are 1\); expected two images or more of every class",
    ),
    "validation share that leaves a class out": (
        folder_of({"cat": 95, "dog": 5}, test=0.2),
        r"data\.validation = 0\.1 .* 80 images in 2 classes: .* without dog \(of which there are 4\); expected a share from 0\.25 to",
    ),
    "limit that leaves a class out": (
        folder_of({"train/cat": 95, "train/dog": 5, "test/cat": 1, "test/dog": 1}, limit=8),
        r"data\.limit = 8 .* without dog \(of which there are 5\); expected a limit of 20 or more",
    ),
    "class of copies of one image": (
        copies,
        r"left to train on after .* the removal of exact duplicates, none of them of dog; expected some",
    ),
    "truncated CIFAR batch": (cifar(half), r"cannot be read as cifar10 \(.*\); delete it and download it again"),
    "missing CIFAR batch": (cifar(gone), r"cannot be read as cifar10 \(FileNotFoundError.*; delete it and download"),
    "label beyond the classes": (
        cifar(label(10)),
        r"training image 47 has the label 10; expected whole numbers from 0 to 9, as there are 10 classes: correct",
    ),
    "negative label": (cifar(label(-1)), r"training image 47 has the label -1; expected"),
    "label that is no whole number": (
        cifar(label(1.5)),
        r"training image 47 has the label 1\.5; expected whole numbers",
    ),
    "fewer labels than images": (cifar(short), r"found 100 training images and 95 labels"),
    "truncated TFRecord": (prepared("cut", cut_record), rf"tfds:cut: train cannot be read \(.*\); {AGAIN}"),
    "TFRecord with flipped bits": (
        prepared("flipped", flipped_bits),
        rf"tfds:flipped: train cannot be read \(.*\); {AGAIN}",
    ),
    "TFRecord without its last rows": (
        prepared("fewer", last_rows_gone),
        rf"tfds:fewer: train cannot be read \(.*\); {AGAIN}",
    ),
    "missing shard": (prepared("shard", os.unlink), rf"tfds:shard: train cannot be read \(.*\); {AGAIN}"),
    "CIFAR-10, truncated TFRecord": (
        prepared("cifar10", cut_record, lambda i: i % 10, CIFAR10),
        r"cifar10: cannot be read as TensorFlow Datasets \(.*(truncated|expected).*\); delete it and prepare it again",
    ),
    "TFDS, an image without a label": (
        prepared("unlabelled", untouched, lambda i: i % 2 if i != 3 else -1),
        r"training image \d+ has the label -1; expected",
    ),
    "TFDS, one class only": (
        prepared("alone", untouched, lambda i: 0, ["no"]),
        r"found the classes no; expected two or more",
    ),
    "TFDS, a class without images": (
        prepared("absent", untouched, lambda i: 0),
        r"found no training image of yes; add some",
    ),
}
