"""What kerastl says of bad input, as a Markdown table: the rows of tests/bad_input.py.

python benchmarks/bad_input.py
"""

import contextlib
import io
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

from kerastl import UserError, load
from kerastl.startup import stderr_set_aside
from tests.bad_input import BAD

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print("| input | what kerastl says |\n|---|---|")
    for name, (build, _) in BAD.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                with stderr_set_aside(), contextlib.redirect_stdout(io.StringIO()):
                    spec = build(Path(folder))
                    try:
                        said = f"nothing: {len(load(spec, 16).train)} training images"
                    except UserError as error:
                        said = str(error)
            except Exception as error:
                said = f"**{type(error).__name__}**: {error}"
        told = " <br> ".join(said.replace(folder, "…").replace("|", "\\|").splitlines())
        print(f"| {name} | {told} |", flush=True)
