"""Parts of the end of a run that stand alone: one that fails is named, and the others go on."""

import contextlib
import warnings

from kerastl.errors import KerastlError, KerastlWarning, brief
from kerastl.files import of_the_system


class Parts:
    """What has failed so far.

    Args:
        failed: from the name of a part to why it failed.

    Example:
        >>> import warnings
        >>> parts = Parts()
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     with parts.alone("report.html"):
        ...         1 / 0
        >>> parts.failed
        {'report.html': 'ZeroDivisionError: division by zero'}
    """

    def __init__(self, failed=()):
        self.failed = dict(failed)

    @contextlib.contextmanager
    def alone(self, name):
        """Let a `with` block fail alone: it is noted and said. Ctrl-C and SIGTERM pass, as they are no failure.

        Args:
            name: of the part, as the user knows it.
        """
        try:
            yield
        except Exception as error:
            self.failed[name] = told = reason(error)
            warnings.warn(f"{name} failed: {told}; the run goes on without it", KerastlWarning, stacklevel=3)


def reason(error):
    """Why something failed, in one sentence."""
    if isinstance(error, KerastlError):
        return str(error)
    return of_the_system(error) if isinstance(error, OSError) and error.strerror else brief(error)
