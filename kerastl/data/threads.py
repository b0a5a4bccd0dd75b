"""One look at every image of a dataset or of a stream, several at a time, with a progress bar."""

import itertools
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from kerastl.voice import Bar


def in_threads(look, items, title, chunk=16):
    """What a function says of every item, in order, several at a time, under a progress bar.

    Args:
        look: a function of one item.
        items: a sequence.
        title: of the progress bar.
        chunk: items that a thread takes at once.

    Yields:
        What `look` returned.
    """
    bar = Bar()
    bar.open(title, len(items))
    try:
        for found in ahead(look, items, chunk):
            yield found
            bar.advance()
    finally:
        bar.close()


def ahead(look, items, chunk=16, least=0):
    """What a function says of every item, in order, worked out before it is asked for, but only so far before.

    Pillow lets other threads run while it decodes, and so does a model while it answers.

    Args:
        look: a function of one item.
        items: an iterable, of any length; it is drawn from as the answers are taken.
        chunk: items that a thread takes at once.
        least: items that are worked on ahead; two chunks for each core where that is more.

    Yields:
        What `look` returned.

    Example:
        >>> import itertools
        >>> list(itertools.islice(ahead(abs, itertools.count(-2)), 4))
        [2, 1, 0, 1]
    """
    items, waiting = iter(items), deque()
    cores = os.cpu_count() or 1
    chunks = max(2 * cores, -(-least // chunk))
    pool, ended = ThreadPoolExecutor(cores), threading.Event()

    def look_at(some):
        return [look(item) for item in some if not ended.is_set()]

    try:
        while some := list(itertools.islice(items, chunk)):
            waiting.append(pool.submit(look_at, some))
            if len(waiting) > chunks:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        ended.set()  # nobody takes the answers any more
        pool.shutdown(cancel_futures=True)
