"""`glyphs`: letters drawn with the fonts that come with matplotlib, made as the `digits` scans were made.

The scans are 32 x 32 bitmaps whose ink was counted in 4 x 4 blocks (Alpaydin & Kaynak 1998); so are these letters, after
a random turn, shear, stretch and shift. They have 52 classes and not one digit among them, which makes them a small,
download-free stand-in for ImageNet: something to pretrain on whose features are worth transferring.
"""

import string
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerastl.data.images import Images, Source

CLASSES = tuple(f"upper_{c}" if c.isupper() else f"lower_{c}" for c in string.ascii_letters)
FAMILIES = (
    "DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSans-BoldOblique DejaVuSansMono DejaVuSansMono-Oblique "
    "DejaVuSerif DejaVuSerif-Bold DejaVuSerif-Italic "
    "STIXGeneral STIXGeneralBol STIXGeneralItalic STIXGeneralBolIta cmr10 cmss10 cmtt10 cmmi10"
)
FONTS = tuple(f"{family}.ttf" for family in FAMILIES.split())
PER_CLASS = 400
CANVAS, BLOCK = 32, 4


def load_glyphs(seed=0):
    """Draw the letters; the same seed draws the same ones.

    Args:
        seed: of the random turns, shears, stretches and shifts.

    Returns:
        A `Source` of 52 x 400 uint8 images of shape (8, 8, 3), all in one split.
    """
    random = np.random.default_rng(seed)
    folder = Path(find_spec("matplotlib").origin).parent / "mpl-data" / "fonts" / "ttf"
    fonts = [ImageFont.truetype(str(folder / name), size=48) for name in FONTS]
    drawn = [
        _draw(letter, fonts[place % len(fonts)], random)
        for letter in string.ascii_letters
        for place in range(PER_CLASS)
    ]
    labels = np.repeat(np.arange(len(CLASSES)), PER_CLASS)
    return Source(CLASSES, Images(np.repeat(np.stack(drawn)[..., None], 3, axis=3), labels))


def _draw(letter, font, random):
    left, top, right, bottom = font.getbbox(letter)
    page = Image.new("L", (right - left + 24, bottom - top + 24))
    stroke = int(random.integers(0, 3))
    ImageDraw.Draw(page).text((12 - left, 12 - top), letter, fill=255, font=font, stroke_width=stroke)
    slant = random.uniform(-0.3, 0.3)
    page = page.transform(
        page.size, Image.Transform.AFFINE, (1, slant, -slant * page.height / 2, 0, 1, 0), Image.Resampling.BILINEAR
    )
    page = page.rotate(random.uniform(-15, 15), Image.Resampling.BILINEAR, expand=True)
    page = page.crop(page.getbbox())
    width, height = (int(CANVAS * random.uniform(*share)) for share in ((0.45, 0.95), (0.8, 1.0)))
    bitmap = Image.new("L", (CANVAS, CANVAS))
    spare = (CANVAS - width, CANVAS - height)
    bitmap.paste(page.resize((width, height)), tuple(int(random.integers(0, room + 1)) for room in spare))
    ink = (np.asarray(bitmap) > 110).reshape(CANVAS // BLOCK, BLOCK, CANVAS // BLOCK, BLOCK).mean(axis=(1, 3))
    return np.round(ink * 255).astype(np.uint8)
