"""What Pillow may open, how much of it at a time, and what beside the pixels does not matter."""

import io
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kerastl
from kerastl.data import decode as decoding
from kerastl.data.decode import decode, opened, skim, stored
from kerastl.errors import BrokenImage

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
SIDE = 8


def encoded(kind="PNG", **how):
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **how)
    return file.getvalue()


def field(record, dataset, data):
    return bytes([0x1C, record, dataset]) + struct.pack(">H", len(data)) + data


def iptc(inner):
    """A file that holds another one, which Pillow's plugin for IPTC opens, whatever it is."""
    about = field(3, 60, b"\1\0") + field(3, 20, b"\0\x08") + field(3, 30, b"\0\x08") + field(3, 120, b"\5")
    return about + field(8, 10, inner) + bytes([0x1C, 9, 1, 0, 0])


def icon(inner):
    """An .ico of one picture."""
    return struct.pack("<3H4B2H2I", 0, 1, 1, SIDE, SIDE, 0, 0, 1, 32, len(inner), 22) + inner


CONTAINERS = {
    "PostScript": EPS,
    "PostScript with a preview": b"\xc5\xd0\xd3\xc6" + struct.pack("<7I", 30, len(EPS), 0, 0, 0, 0, 0) + EPS,
    "PostScript in IPTC": iptc(EPS),
    "a photo in IPTC": iptc(encoded("JPEG")),
    "IPTC in IPTC": iptc(iptc(EPS)),
    "an icon": icon(encoded()),
    "Apple's icons": b"icns" + struct.pack(">I4sI", 16 + 8, b"ic07", 16) + EPS[:8],
    "Windows' drawings": b"\xd7\xcd\xc6\x9a" + bytes(30),
    "a file of files": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".eps", ""])
def test_nothing_is_opened_inside_and_no_program_started(name, suffix, tmp_path, monkeypatch):
    import subprocess

    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    (tmp_path / f"x{suffix}").write_bytes(CONTAINERS[name])
    for item in (CONTAINERS[name], tmp_path / f"x{suffix}"):
        for look in (lambda it: decode(it, 8), skim):
            with pytest.raises(BrokenImage, match=r"not an image|PostScript"):
                look(item)


def test_pillow_opens_files_in_one_place_alone():
    package = Path(kerastl.__file__).parent
    asks = [path for path in package.rglob("*.py") if "Image.open(" in path.read_text(encoding="utf-8")]
    assert sorted(path.name for path in asks) == ["decode.py", "tensorboard.py"], "the latter reads what kerastl drew"


def chunk(kind, content, checksum=None):
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunk(extra, last=False):
    """A PNG with a chunk more, after its header or before its end."""
    raw = encoded()
    at = len(raw) - 12 if last else 33
    return raw[:at] + extra + raw[at:]


BOMB = zlib.compress(bytes(80_000_000))
SIDE_DATA = {
    "a profile that is none": chunk(b"iCCP", b"x\0\0nonsense"),
    "a profile that grows": chunk(b"iCCP", b"x\0\0" + BOMB),
    "a text that grows": chunk(b"zTXt", b"x\0\0" + BOMB),
    "a text that is none": chunk(b"zTXt", b"x\0\0nonsense"),
    "a text of an unknown kind": chunk(b"zTXt", b"x\0\7" + zlib.compress(b"x")),
    "a text without an end": chunk(b"iTXt", b"x\0\1"),
    "a text of other letters": chunk(b"tEXt", b"\xff\xfe\0\xff"),
    "EXIF that is none": chunk(b"eXIf", b"nonsense"),
    "EXIF that is empty": chunk(b"eXIf", b""),
    "a wrong checksum": chunk(b"tEXt", b"x\0y", checksum=1),
    "a wrong checksum of the resolution": chunk(b"pHYs", bytes(9), checksum=1),
    "a resolution that is too short": chunk(b"pHYs", b"\0"),
    "a gamma that is too short": chunk(b"gAMA", b"\0"),
    "colours that are too short": chunk(b"cHRM", b"\0"),
    "an unknown kind": chunk(b"abCd", b"x"),
    "frames that are none": chunk(b"acTL", b"\0"),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", SIDE_DATA)
def test_what_stands_beside_the_pixels_of_a_png_does_not_matter(name, last):
    np.testing.assert_array_equal(decode(with_chunk(SIDE_DATA[name], last), SIDE), decode(encoded(), SIDE))


PIXELS = {
    "cut": lambda raw: raw[: len(raw) // 2],
    "without a header": lambda raw: raw[:8] + raw[33:],
    "a wrong checksum of the header": lambda raw: raw[:29] + bytes(4) + raw[33:],
    "no pixels": lambda raw: raw[:33] + raw[-12:],
}


@pytest.mark.parametrize("name", PIXELS)
def test_what_is_wrong_with_the_pixels_of_a_png_does(name):
    with pytest.raises(BrokenImage):
        decode(PIXELS[name](encoded()), SIDE)


def test_a_turn_is_kept_however_a_png_tells_it():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(exif=exif), SIDE)
    assert (turned != decode(encoded(), SIDE)).any()
    told = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    by_xmp = decode(with_chunk(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + told)), SIDE)
    np.testing.assert_array_equal(by_xmp, turned)


def jpeg_of_scans(count):
    """A progressive JPEG with its last scan again and again."""
    raw = encoded("JPEG", progressive=True)
    last = raw.rindex(b"\xff\xda")
    return raw[:last] + raw[last:-2] * count + raw[-2:]


def test_a_jpeg_of_hundreds_of_scans_is_refused_and_a_film_behind_one_is_none():
    with pytest.raises(BrokenImage, match="a JPEG of more than 200 scans"):
        decode(jpeg_of_scans(300), SIDE)
    assert decode(jpeg_of_scans(2), SIDE).shape == (SIDE, SIDE, 3)
    assert decode(encoded("JPEG") + b"\xff\xda\0\2" * 1000, SIDE).shape == (SIDE, SIDE, 3)


def test_a_padded_file_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(encoded())
    with path.open("r+b") as file:
        file.truncate(decoding.BESIDES * 10)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("all of it is read"))
    for look in (lambda it: decode(it, 8), skim, stored):
        with pytest.raises(BrokenImage, match="far larger than its pixels"):
            look(path)


def test_one_large_picture_at_a_time(monkeypatch):
    monkeypatch.setattr(decoding, "LARGE", SIDE)
    inside, most = [], []

    def look():
        with opened(encoded()):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
