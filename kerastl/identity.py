"""Who a run is: an id, by which its exports know it, and the folder it was begun in, from which its relative paths lead.

`identity.json` stands beside the recipe.toml of a run, a folder of seeds or of a sweep, from its beginning on.
"""

import copy
import json
import os
import secrets
from pathlib import Path

from kerastl.errors import UserError
from kerastl.text import printable

IDENTITY = "identity.json"
MOST_BYTES = 100_000
FOLDER = "folder:"
# Keys of a recipe that hold a path it reads. "must": what is no longer there is meant from where the run was begun; "may": the value
# can be a name as well, and is a path only where something stands.
READ = {"data.dir": "must", "data.name": "must", "model.backbone": "may", "model.weights": "may"}
# And those that the same run writes to. Another run of its recipe writes where that one was begun.
PATHS = {**READ, "export.folder": "must"}


def new_identity(folder):
    """What identity.json of a run that begins now holds.

    Args:
        folder: of the run.

    Returns:
        A dict: "id", 16 random letters, and "begun_in": the working folder, absolute and as seen from the run, should both be
        moved together.
    """
    here = Path.cwd()
    try:
        seen = Path(os.path.relpath(here, folder)).as_posix()
    except ValueError:  # on another drive
        seen = None
    return {"id": secrets.token_hex(8), "begun_in": {"absolute": str(here), "from_run": seen}}


def read_identity(folder):
    """What identity.json holds; None where there is none, as in runs of an earlier kerastl.

    Args:
        folder: of the run.

    Raises:
        UserError: it is not what kerastl writes.
    """
    path = Path(folder) / IDENTITY
    if not os.path.lexists(path):
        return None
    try:
        if path.is_symlink() or not path.is_file():
            raise ValueError("it is no file")
        with path.open("rb") as file:
            found = json.loads(file.read(MOST_BYTES + 1)[:MOST_BYTES].decode("utf-8-sig"))
        known, begun_in = found["id"], found["begun_in"]
        sound = isinstance(known, str) and 0 < len(known) <= 100 and isinstance(begun_in["absolute"], str)
        if not sound or not isinstance(begun_in["from_run"], str | None):
            raise ValueError("id or begun_in is no text")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{printable(str(path))}: cannot be read ({printable(str(error))}); expected what kerastl wrote when the run began. "
            "Delete it, and relative paths are meant from the working folder"
        ) from None
    return found


def remembered(table, folder, paths=PATHS):
    """The paths of a run's recipe that lead elsewhere from here than where the run was begun.

    A relative path is looked for in the folder the run was begun in, then, as both may have been moved, in what is now at the
    same place beside the run, then in the working folder.

    Args:
        table: of the recipe, as TOML has it.
        folder: of the run.
        paths: the keys that are looked at.

    Returns:
        A dict from dotted key to the absolute path; empty where all is as it was.
    """
    about = read_identity(folder)
    if about is None:
        return {}
    begun_in, here = about["begun_in"], os.path.realpath(Path.cwd())
    seen = [os.path.join(folder, begun_in["from_run"])] if begun_in["from_run"] else []  # noqa: PTH118
    bases = [*filter(None, map(_real, (begun_in["absolute"], *seen))), here]
    found = {}
    for prefix in ("", "baseline."):
        for key, kind in paths.items():
            value = _value(table, key, prefix)
            if key == "data.name" and _value(table, "data.dir", prefix):
                continue  # it is meant from there
            if located := _located(value, bases, kind, here, FOLDER if key == "data.name" else ""):
                found[prefix + key] = located
    return found


def relocated(table, folder):
    """The table of a run's recipe with the paths of `READ` as `remembered` has them."""
    changes = remembered(table, folder, READ)
    table = copy.deepcopy(table) if changes else table
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        if first == "baseline":
            table["baseline"][rest] = value
        else:
            table[first][rest] = value
    return table


def _real(path):
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # no name of a folder at all
        return None


def _value(table, key, prefix):
    first, _, last = key.partition(".")
    inner = table.get("baseline" if prefix else first)
    return inner.get(key if prefix else last) if isinstance(inner, dict) else None


def _located(value, bases, kind, here, begins):
    """The absolute path that is meant, or None where the value stays as it is."""
    if not isinstance(value, str) or not value.startswith(begins) or "\0" in value:
        return None
    path = value.removeprefix(begins)
    if not path or path.startswith("~") or os.path.isabs(path):  # noqa: PTH117
        return None
    there = [base for base in bases if os.path.exists(os.path.join(base, path))]  # noqa: PTH110, PTH118
    if not there and kind == "must":
        there = [base for base in bases if os.path.isdir(base)]  # noqa: PTH112
    if not there or there[0] == here:
        return None
    return begins + os.path.join(there[0], path)  # noqa: PTH118
