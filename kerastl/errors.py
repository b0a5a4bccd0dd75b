"""What can go wrong, as types: each message says what was found, where, what was expected and the remedy."""

import re

PLUMBING = re.compile(r"\{\{.*?\}\}\s*|\s*\[Op:.*")  # where in TensorFlow's graph an error came up
PLUMBING_LINES = ("Graph execution error", "Detected at node", "File ", "Stack trace for op")
CAUSE = "Exception encountered: "  # Keras quotes a whole config, and then says what is wrong with it


class KerastlError(Exception):
    """A failure with a message made for the user; the command line prints it alone and exits with ``exit_code``."""

    exit_code = 1


class UserError(KerastlError):
    """Something the user can mend: a recipe, a path, a missing file or package (exit code 2)."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe, strategy or override that cannot be obeyed."""


class MissingData(UserError):
    """Images that are not where the recipe says, and cannot be downloaded."""


class BrokenImage(UserError):
    """A file that cannot be read as an image; the message is the reason alone, as whoever asked knows the name."""


class MissingWeights(UserError):
    """Pretrained weights that are absent or do not fit the backbone."""


class UntrustedFile(UserError):
    """A file that is not what it should be, or asks for more than a model of Keras' own layers needs."""


class BrokenRun(UserError):
    """A file of a run folder that is not what kerastl writes there: which file, what was found, what was expected, the remedy."""


class MissingExtra(UserError):
    """An optional package that the recipe needs."""


class TrainingFailed(KerastlError):
    """Training that cannot go on with these settings: it diverged, or there is no room for it."""


class ExportError(KerastlError):
    """A file that, reloaded, does not answer as the model in memory does; it was not kept.

    Args:
        kept: what `export` gives of the other formats.
    """

    def __init__(self, message, kept=()):
        super().__init__(message)
        self.kept = dict(kept)


class KerastlWarning(UserWarning):
    """Something that will be done as asked, and that is probably not what was wanted."""


def brief(error):
    """Another library's error in one line, for the middle of a message of ours."""
    text = PLUMBING.sub("", str(error)).rpartition(CAUSE)[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(PLUMBING_LINES)] or lines
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def shortened(problems, most=10):
    """The first of what may be thousands of problems, and how many more there are.

    Args:
        problems: any number of sentences.
        most: how many are told.

    Returns:
        A list of at most `most` + 1 sentences.

    Example:
        >>> shortened([f"{n}.jpg: cannot be read" for n in range(5000)], most=2)
        ['0.jpg: cannot be read', '1.jpg: cannot be read', 'and 4,998 more']
    """
    problems = list(problems)
    more = len(problems) - most
    return problems if more <= 0 else [*problems[:most], f"and {more:,} more"]


OFFLINE_REMEDY = "To see the whole path with no download: python scripts/train_cifar10.py --sample"
