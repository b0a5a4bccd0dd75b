"""The members of a `.keras` file: what Keras writes there, unpacked to the disk, or to memory where the disk takes no copy."""

import io
import re
import stat
import zipfile
from collections import Counter

import keras

from kerastl.errors import UntrustedFile
from kerastl.model.archive import pieces
from kerastl.model.stored import EXPANSION, SLACK

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets/"
MEMBERS = (CONFIG, METADATA, WEIGHTS)
MOST_TEXT = (
    16 * 2**20
)  # bytes of config or metadata; EfficientNetV2-L, among the largest of keras.applications, has under 1 MiB


def load_from_folder(folder, config):
    """The model of a `.keras` file that was unpacked: in safe mode, as by default, and not compiled.

    Args:
        folder: path of the folder.
        config: JSON of the model, in letters that every locale reads alike; it takes the place of the file's own.
    """
    (folder / CONFIG).write_text(config, encoding="ascii")
    return keras.models.load_model(folder, compile=False)


def load_from_memory(members, config):
    """As `load_from_folder`, of a file that stands in memory; Keras' public function takes paths alone.

    Args:
        members: from the name of each member to its bytes.
        config: JSON of the model; it takes the place of the file's own.
    """
    from keras.src.saving import saving_lib

    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in {**members, CONFIG: config}.items():
                archive.writestr(name, content)
        file.seek(0)
        return saving_lib.load_model(file, compile=False)


MEMBER_RULES = {
    "reaches outside the folder it is unpacked to": lambda it: (
        it.filename.startswith("/") or ".." in it.filename.split("/") or re.search(r"[\\:]", it.orig_filename)
    ),
    "is a symbolic link": lambda it: stat.S_ISLNK(it.external_attr >> 16),
    "is not among what Keras writes": lambda it: it.filename not in MEMBERS and not it.filename.startswith(ASSETS),
}


def check_members(path, members, size):
    """Refuse a zip archive that is not laid out as Keras does it, before anything is unpacked."""
    names = Counter(member.name for member in members)
    for member in members:
        for reason, holds in MEMBER_RULES.items():
            if holds(member.info):
                expected = f"expected {', '.join(MEMBERS)} and {ASSETS}"
                raise UntrustedFile(f"{path}: its member {member.name[:80]!r} {reason}; {expected}. Save it again")
        if names[member.name] > 1:
            raise UntrustedFile(f"{path}: its member {member.name[:80]!r} is there twice; expected once. Save it again")
    if missing := {CONFIG, WEIGHTS} - set(names):
        raise UntrustedFile(f"{path}: found no {' and no '.join(sorted(missing))}; expected a model saved by Keras 3")
    unpacked = sum(member.info.file_size for member in members)
    if unpacked > EXPANSION * size + SLACK:
        raise UntrustedFile(
            f"{path}: {size:,} bytes that unpack to {unpacked:,}; expected at most {EXPANSION} times as many. Save it again"
        )
    for member in members:
        if member.name in (CONFIG, METADATA):
            check_text(path, member.info.file_size)


def unpack(file, member, folder, path):
    target = folder / member.name
    if member.name.endswith("/"):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as copy:
        for piece in pieces(file, member, path):
            copy.write(piece)


def unpacked(file, members, path):
    """From the name of each member of an archive to its bytes, counted as they come out: see `pieces`."""
    return {it.name: b"".join(pieces(file, it, path)) for it in members if not it.name.endswith("/")}


def check_text(path, size):
    if size > MOST_TEXT:
        raise UntrustedFile(f"{path}: found a config of {size:,} bytes; expected at most {MOST_TEXT:,}")
