"""One look at every image of a dataset, with a progress bar."""

from multiprocessing.pool import ThreadPool

from kerastl.voice import Bar


def in_threads(look, items, title, chunk=16):
    """What a function says of every item, in order, several at a time: Pillow lets others run while it decodes.

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
    with ThreadPool() as pool:
        try:
            for found in pool.imap(look, items, chunksize=chunk):
                yield found
                bar.advance()
        finally:
            bar.close()
