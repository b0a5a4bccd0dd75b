"""What kerastl says to files that a stranger could send, as a Markdown table.

    python benchmarks/refusals.py

The files are those of tests/hostile.py and tests/bombs.py, built in a temporary folder; nothing in them is ever run.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bombs import BOMBS
from hostile import HOSTILE, open_as_kerastl_does

from kerastl.errors import UserError

if __name__ == "__main__":
    print("| file | what kerastl says |\n|---|---|")
    for name, (build, _) in (HOSTILE | BOMBS).items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                open_as_kerastl_does(build(folder))
                told = "**nothing: it was opened**"
            except UserError as error:
                told = str(error).replace(f"{folder}/", "").replace("|", "\\|").replace("\n", " ")
        print(f"| {name} | {told} |", flush=True)
