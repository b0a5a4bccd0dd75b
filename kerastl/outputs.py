"""Where results go: found to be writable before anything slow begins, never inside the images, and never over another run's.

The exports of a run are in `export.folder/NAME`; where that is another run's, in NAME-2, NAME-3, ..., as run folders are numbered.
"""

import contextlib
import errno
import itertools
import json
import os
import re
from pathlib import Path

from kerastl.errors import UserError
from kerastl.files import own_folder
from kerastl.identity import FOLDER, read_identity
from kerastl.text import printable

TABLE = "export.json"
RUN = "run"  # key of export.json: the id of the run
ATTEMPTS = 5  # another process may just remove a folder that it made to try
MOST_BYTES = 1_000_000
EXPORTS = (
    "expected a place for the exports that can be written to: another one by --set export.folder=FOLDER (or --set name=NAME), none by "
    "--set export.formats=[]"
)
OUT = "expected a place that can be written to: name another one (--out)"


IN_THE_WAY = "a file stands where a folder is needed"


def free_folder(name):
    """runs/NAME, or runs/NAME-2, runs/NAME-3, ... where that is taken."""
    numbered = (Path("runs") / (name if i == 1 else f"{name}-{i}") for i in itertools.count(1))
    return next(folder for folder in numbered if not folder.exists())


class Taken(UserError):
    """A folder for exports that holds something else."""


def check_folder(folder, key="--out", expected=OUT, name="x"):
    """Refuse a folder that cannot be written to, by making it, and a file in it; both are gone again afterwards.

    Args:
        folder: its path.
        key: what names it: an option, or a key of a recipe.
        expected: how it can be mended.
        name: of the file.

    Raises:
        UserError: with what the system said.
    """
    folder = Path(folder)
    for attempt in range(ATTEMPTS):
        missing = [each for each in (folder, *folder.parents) if not _stands(each)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with own_folder(folder) as own:
                (own / name).write_bytes(b"x")
            return
        except FileNotFoundError as error:
            if attempt == ATTEMPTS - 1:
                raise _refused(error, folder, key, expected) from None
        except (OSError, ValueError) as error:
            raise _refused(error, folder, key, expected) from None
        finally:
            for each in missing:
                with contextlib.suppress(OSError, ValueError):
                    each.rmdir()


def check_file(path, key="--out"):
    """As `check_folder`, for a file: its folder, and that its name is free or a file's."""
    path = Path(path)
    if _stands(path) and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe, a device or a link to nothing"
        raise UserError(f"{key} {printable(str(path))}: {kind} stands there; expected the name of a file")
    check_folder(path.parent, key, OUT, path.name or "x")


def check_apart(path, data, key="--out", around=False):
    """Refuse a place inside the folder of images that a recipe names: what is written there would be an image of the next training.

    Args:
        path: where results go.
        data: a `DataSpec`.
        key: what names the place.
        around: refuse also a place that the images are in.

    Raises:
        UserError: it is inside.
    """
    images = images_of(data)
    if images is None or "\0" in str(path):
        return
    place, images = (Path(os.path.realpath(it)) for it in (path, images))
    shown = f"{key} {printable(str(path))}"
    if place.is_relative_to(images):
        raise UserError(
            f"{shown}: is inside the images, {printable(str(images))}, where results would be taken for images or classes; expected a "
            "place outside"
        )
    if around and images.is_relative_to(place):
        raise UserError(
            f"{shown}: the images, {printable(str(images))}, are inside it; expected a folder that holds the results alone"
        )


def images_of(data):
    """The folder of images that a `DataSpec` names, if it does."""
    if not data.name.startswith(FOLDER) or "\0" in data.dir + data.name:
        return None
    return Path(data.dir).expanduser() / Path(data.name.removeprefix(FOLDER)).expanduser()


def check_outputs(recipe, out=None, exports=True, run=None):
    """Refuse a run folder, or a folder for its exports, that cannot be written to or is inside the images.

    Args:
        recipe: a `Recipe`.
        out: the run folder; None where there is none yet.
        exports: whether the recipe's exports will be written.
        run: the id of the run; absent, that of the run folder.

    Returns:
        Where the exports will be, as things stand; None without exports.

    Raises:
        UserError: see above.
    """
    if out is not None:
        check_apart(out, recipe.data, around=True)
        check_folder(out)
    if not exports or not recipe.export.formats:
        return None
    folder = next(places(recipe, run or (out and run_id(out))))
    check_apart(folder, recipe.data, "export.folder", around=True)
    check_folder(folder, "export.folder", EXPORTS)
    return folder


def run_id(folder):
    """The id of a run; None where it has none, as it was made by an earlier kerastl or has not begun."""
    about = read_identity(folder)
    return about and about["id"]


def places(recipe, run, weights=None):
    """Where the exports of a run may go, the best place first: where they are already, then NAME, NAME-2, ...

    Args:
        recipe: a `Recipe`.
        run: the id of the run, or None.
        weights: the digest of its weights, by which the exports of an earlier kerastl are known.

    Yields:
        Paths of folders that are the run's own, or free at this moment.
    """
    first = Path(recipe.export.folder) / recipe.name
    own = [folder for folder in _numbered(first) if holder_of(folder, run, weights) == "own"]
    yield from own
    for number in itertools.count(1):
        folder = first if number == 1 else first.with_name(f"{first.name}-{number}")
        if folder not in own and holder_of(folder, run, weights) != "other":
            yield folder


def holder_of(folder, run, weights=None):
    """Whose a folder for exports is.

    Args:
        folder: its path.
        run: the id of a run, or None.
        weights: the digest of its weights, or None.

    Returns:
        "own": that run's; "free": nothing is there; "other": another run's, or no exports at all.
    """
    if not os.path.lexists(folder):
        return "free"
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208
    except OSError:  # `check_folder` tells what cannot be read
        return "other" if Path(folder).is_file() else "free"
    if not names:
        return "free"
    table = exports_in(folder)
    if table is None:
        return "other"
    digests = {row.get("weights") for row in table.values() if isinstance(row, dict)}
    if RUN in table and run is not None:
        return "own" if table[RUN] == run else "other"
    return "own" if weights is not None and digests == {weights} else "other"


def exports_of(recipe, run):
    """The folder that holds the exports of a run; None where there is none.

    Args:
        recipe: its `Recipe`.
        run: its id.
    """
    first = Path(recipe.export.folder) / recipe.name
    return next((folder for folder in _numbered(first) if holder_of(folder, run) == "own"), None)


def refuse_taken(folder, run, names, weights=None):
    """Refuse a folder for exports in which files of something else would be replaced.

    Args:
        folder: its path.
        run: the id of the run; None for a model that is of none: then only the exports of a run are refused.
        names: of the files that would be written.
        weights: as for `holder_of`.

    Raises:
        Taken: with what stands there.
    """
    if holder_of(folder, run, weights) != "other":
        return
    table = exports_in(folder)
    there = [name for name in names if os.path.lexists(Path(folder) / name)]
    if (table is None and not there) or (run is None and RUN not in (table or {})):
        return
    held = "the exports of another run" if table is not None else f"{', '.join(there)}, but no {TABLE}: it is of no run"
    raise Taken(
        f"{printable(str(folder))}: holds {held}; expected a new folder, or the run's own: name another one (--out), or delete it"
    )


def exports_in(folder):
    """What export.json holds; None where there is none that can be read."""
    path = Path(folder) / TABLE
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            table = json.loads(file.read(MOST_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def told_taken(folder, instead):
    """A sentence: whose a folder is, and where the exports go instead."""
    return (
        f"{printable(str(folder))}: holds the exports of another run, or other files, which stay as they are; the exports of this "
        f"run go to {printable(str(instead))} (elsewhere: --set export.folder=FOLDER, --set name=NAME)"
    )


def _numbered(first):
    """NAME and the NAME-N that are there, in order of their numbers."""
    try:
        names = os.listdir(first.parent)  # noqa: PTH208
    except (OSError, ValueError):
        return []
    pattern = re.compile(re.escape(first.name) + r"(?:-([1-9]\d{0,8}))?")
    numbers = sorted((int(match[1] or 1), name) for name in names if (match := pattern.fullmatch(name)))
    return [first.with_name(name) for _, name in numbers]


def _stands(path):
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _refused(error, folder, key, expected):
    told = (
        IN_THE_WAY
        if getattr(error, "errno", None) in (errno.ENOTDIR, errno.EEXIST)
        else getattr(error, "strerror", None) or error
    )
    return UserError(f"{key} {printable(str(folder))}: {told}; {expected}")
