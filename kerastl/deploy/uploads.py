"""What the web page keeps of pictures that are sent to it: so many, and so many bytes, for one visitor and for all of them.

A picture beyond that is dropped as it arrives; its name stays, so that the page can say so.
"""

import asyncio
import importlib
import threading

MEGABYTES = 20  # of one picture
MOST = 20  # pictures at once
OF_ONE, OF_ALL = 100, 500  # megabytes that are held of one visitor's pictures, and of all
NAMES = 1000  # of pictures that were dropped, for one visitor
LETTERS = 200  # of a name
ARRIVING = 4  # uploads that are read at the same time; others wait
SECONDS = 120  # in which an upload has to arrive
DROPPED = "application/x-kerastl-dropped"  # the type of a picture of which only the name was kept


def bounded(manager):
    """A class that holds uploads as Streamlit's does, but no more than the bounds of this file.

    Args:
        manager: Streamlit's `MemoryUploadedFileManager`.
    """

    class BoundedUploads(manager):
        def __init__(self, endpoint):
            super().__init__(endpoint)
            self.one_by_one = threading.Lock()

        def add_file(self, session_id, file):
            with self.one_by_one:
                held = self.file_storage.get(session_id, {})
                own = [each for each in held.values() if each.type != DROPPED and each.file_id != file.file_id]
                of_one = sum(len(each.data) for each in own)
                of_all = sum(
                    len(each.data) for some in list(self.file_storage.values()) for each in list(some.values())
                )
                room = len(own) < MOST and of_one + len(file.data) <= OF_ONE * 10**6
                kept = room and of_all + len(file.data) <= OF_ALL * 10**6
                if not kept and len(held) - len(own) >= NAMES:
                    raise too_many()
                changes = {} if kept else {"data": b"", "type": DROPPED}
                super().add_file(session_id, file._replace(name=file.name[:LETTERS], **changes))

    return BoundedUploads


def too_many():
    """What an upload is answered with where not even its name is kept."""
    exceptions = importlib.import_module("starlette.exceptions")
    return exceptions.HTTPException(
        413, f"more than {NAMES} pictures; expected at most {MOST} at once: load the page again"
    )


def bound_uploads():
    """Let Streamlit keep uploads within the bounds, in memory alone, and read a few of them at a time.

    Beyond a megabyte, Starlette would put an upload into a temporary file.
    """
    server = importlib.import_module("streamlit.web.server.server")
    server.MemoryUploadedFileManager = bounded(
        importlib.import_module("streamlit.runtime.memory_uploaded_file_manager").MemoryUploadedFileManager
    )
    parsers = importlib.import_module("starlette.formparsers")
    keep_in_memory(parsers)
    parse, turn = parsers.MultiPartParser.parse, asyncio.Semaphore(ARRIVING)

    async def in_turn(parser):
        async with turn:
            try:
                async with asyncio.timeout(SECONDS):
                    return await parse(parser)
            except TimeoutError:
                raise parsers.MultiPartException(f"the upload took more than {SECONDS} seconds") from None

    parsers.MultiPartParser.parse = in_turn


def keep_in_memory(parsers):
    """Let an upload stay in memory until it is read."""
    parsers.MultiPartParser.spool_max_size = 2 * MEGABYTES * 2**20
