"""Which sub-folder of a folder of photos is what: a split, a class, or litter of a system. One table of names.

Names are compared folded: without case, accents, ways of writing (Unicode NFC and NFD), and spaces at the ends.
"""

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from kerastl.data.walk import image_suffixes, is_litter
from kerastl.errors import shortened
from kerastl.text import printable

# Split -> the words that name it, as a folder has them; `PADDING` may stand around them, as in seg_train, Test Images, val2017.
SPLITS = {
    "train": "train training trn entrenamiento entrainement apprentissage treino addestramento trainingsdaten 训练 訓練 학습",
    "validation": "val valid validation validate dev devel development eval evaluation validacion validacao validierung 验证 検証 검증",
    "test": "test testing tst holdout prueba pruebas teste testdaten 测试 テスト 테스트",
}
WORDS = {word: split for split, words in SPLITS.items() for word in words.split()}
PADDING = set("set sets data dataset images image imgs img photos pictures seg split folder files 集".split())
GLUED = re.compile(r"(set|data|images|imgs|集)$|\d+$")
NAMED = {"train": "train", "validation": "val", "test": "test"}  # what to call a folder
ONE_CLASS_FOLDER = 'as a class: data.splits = "none" (kerastl check --splits none)'


@dataclass(frozen=True)
class Layout:
    """What the sub-folders of a folder are.

    Args:
        folders: from split to its folder; "train" alone, and the folder itself, where there are no splits.
        classes: from split to {class name: its folder}. A name is that of the training split's folder.
        left_out: what is not read, a sentence each.
        problems: what training refuses, a sentence each.
    """

    folders: dict
    classes: dict
    left_out: tuple[str, ...]
    problems: tuple[str, ...]


def fold(name):
    """A name without case, accents, ways of writing, and spaces at the ends.

    Example:
        >>> fold("Caf\\u00e9 ") == fold("cafe\\u0301")
        True
    """
    return unicodedata.normalize("NFC", name).casefold().strip()


def split_of(name):
    """The split that a folder of this name holds; None where the name is no split's.

    Example:
        >>> [split_of(it) for it in ("Train", "seg_test", "val2017", "Test Images", "train_station", "cat")]
        ['train', 'test', 'validation', 'test', None, None]
    """
    plain = "".join(it for it in unicodedata.normalize("NFD", name.casefold()) if unicodedata.category(it) != "Mn")
    plain = unicodedata.normalize("NFC", plain)
    words = [it for it in re.split(r"[\W_]+", plain) if it and it not in PADDING and not it.isdecimal()]
    if len(words) != 1:
        return None
    while words[0] not in WORDS and GLUED.search(words[0]):
        words[0] = GLUED.sub("", words[0])
    return WORDS.get(words[0])


def layout_of(root, splits="auto"):
    """Tell splits from classes by their names and by what is in them.

    Args:
        root: an existing folder.
        splits: "none": every sub-folder is a class, whatever its name.

    Returns:
        A `Layout`.
    """
    beside = _folders(root)
    roles = {} if splits == "none" else {path: split for path in beside if (split := split_of(path.name))}
    folders, problems, left_out = _splits(root, beside, roles)
    if not folders:
        folders = {"train": root}
    elif others := [path.name for path in beside if path not in roles]:
        left_out.append(f"{root}: {_listed(others)} beside the splits: not read")
    classes, canonical = {}, {}
    for split, folder in sorted(folders.items(), key=lambda it: tuple(NAMED).index(it[0])):
        found = {}
        for path in _folders(folder):
            name = (
                canonical.setdefault(fold(path.name), path.name)
                if split == "train"
                else canonical.get(fold(path.name), path.name)
            )
            if name in found:
                problems.append(
                    f"{folder}: found the class folders {_listed([found[name].name, path.name])}, which differ in no more than "
                    "case, accents' writing or spaces; expected one of them: merge or rename them"
                )
            elif name != path.name:
                left_out.append(f"{path}: taken for the class {printable(name)} of {folders['train'].name}")
            found.setdefault(name, path)
        classes[split] = found
    for folder in {root, *folders.values()}:
        if loose := _loose_images(folder):
            left_out.append(
                f"{folder}: {len(loose):,} images stand beside the class folders and are not read, as {printable(loose[0])}; "
                "expected every image in the folder of its class"
            )
    return Layout(folders, classes, tuple(left_out), tuple(problems))


def _splits(root, beside, roles):
    """The folder of each split, problems, and what is left out; no folder where none of them is a split."""
    by_split = {split: [path for path in roles if roles[path] == split] for split in NAMED if split in roles.values()}
    problems = [
        f"{root}: found {_listed([it.name for it in found])}, all of them named as the {split} split; expected one: merge or rename "
        f"them, or, if each is a class, take each {ONE_CLASS_FOLDER}"
        for split, found in by_split.items()
        if len(found) > 1
    ]
    folders = {split: _inner(found[0]) for split, found in by_split.items()}
    without = [folder.name for folder in folders.values() if not _folders(folder)]
    if not folders:
        return {}, [], []
    if len(without) == len(folders):  # photos stand in them, and no classes
        problems.append(
            f"{root}: found {_listed(without)}, named as a split, with no class folders in it; expected one folder for each class "
            f"inside; if it is a class, take it {ONE_CLASS_FOLDER}"
        )
    elif "train" not in folders:
        found = " and ".join(folder.name for folder in folders.values())
        problems.append(
            f"{root}: found {found} and no train; expected train beside it, or nothing but class folders; if it is a class, take it "
            f"{ONE_CLASS_FOLDER}"
        )
    if "train" not in folders:
        folders = {"train": root, **folders}
    return folders, problems, []


def _inner(folder):
    """The folder itself, or the only one in it, where that has the name of the same split once more: seg_train/seg_train."""
    inner = _folders(folder)
    if len(inner) == 1 and split_of(inner[0].name) == split_of(folder.name) and not _loose_images(folder):
        return inner[0]
    return folder


def _folders(folder):
    with os.scandir(folder) as entries:
        return sorted(Path(it.path) for it in entries if it.is_dir() and not is_litter(it.name))


def _loose_images(folder):
    """Names of images that stand in a folder itself."""
    suffixes = image_suffixes()
    with os.scandir(folder) as entries:
        names = (it.name for it in entries if not is_litter(it.name) and it.is_file())
        return sorted(it for it in names if os.path.splitext(it)[1].lower() in suffixes)  # noqa: PTH122


def _listed(names):
    return " and ".join(shortened([printable(name) for name in names], most=8))
