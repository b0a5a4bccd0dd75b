"""The command line: parse, call the library, print. TensorFlow is imported when work starts, not before.

Commands stand in `kerastl --help` in the order in which their modules are imported here: as one comes to need them.
"""

from kerastl.cli import before, training, judging, using  # noqa: F401, I001
from kerastl.cli.options import app
from kerastl.stopping import leave_at_once
from kerastl.streams import end_streams, prepare_streams


def main():
    prepare_streams()
    with leave_at_once():
        try:
            app(prog_name="kerastl")
        except SystemExit as end:
            raise SystemExit(end_streams(end.code)) from None
