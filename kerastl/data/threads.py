"""One look at every image of a dataset, with a progress bar."""

from multiprocessing.pool import ThreadPool

from rich.console import Console
from rich.progress import track


def in_threads(look, items, title, chunk=16):
    """What a function says of every item, in order, several at a time: Pillow lets others run while it decodes.

    Args:
        look: a function of one item.
        items: a sequence.
        title: of the progress bar; there is none without a terminal.
        chunk: items that a thread takes at once.

    Yields:
        What `look` returned.
    """
    console = Console(stderr=True)
    hidden = {"console": console, "transient": True, "disable": not console.is_terminal}
    with ThreadPool() as pool:
        yield from track(pool.imap(look, items, chunksize=chunk), title, len(items), **hidden)
