"""What docs/serving.md tells a reader to run does run, and every runtime gives the same answer."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported import LABELS, PIXELS
from PIL import Image

from kerastl.data.decode import decode
from kerastl.deploy.classifier import open_model
from kerastl.deploy.export import export

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def turned():
    """As a phone that was held upright stores it."""
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def exports(small, tmp_path_factory):
    """A folder as the page has it, made by the formats of its first command."""
    (formats,) = re.findall(r"kerastl export \S+ --formats (\S+)", PAGE)
    folder = tmp_path_factory.mktemp("serving")
    export(small, folder, formats.split(","), PIXELS, LABELS)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(
        folder / "photo.jpg", exif=turned()
    )
    return folder


def test_the_python_of_the_page(exports, monkeypatch):
    monkeypatch.chdir(exports)
    names = {}
    for block in blocks("python"):
        exec(compile(block, "serving.md", "exec"), names)
    assert names["classes"] == LABELS["classes"] and names["image"].max() > 100
    classifier = open_model("model.keras")
    by_kerastl = classifier.raw(decode(Path("photo.jpg"), classifier.size)[None])[0]  # without the temperature
    np.testing.assert_allclose(np.squeeze(names["by_keras"]), by_kerastl, atol=1e-4)
    answers = {name: np.squeeze(value) for name, value in names.items() if name.startswith("by_")}
    assert set(answers) == {"by_keras", "by_onnx", "by_litert", "by_tensorflow", "by_bytes"}
    for name, answer in answers.items():
        np.testing.assert_allclose(answer, answers["by_keras"], atol=0.01 if name == "by_bytes" else 1e-4, err_msg=name)


def test_saved_model_cli_shows_the_signature(exports):
    """In a process of its own: its flags are those of the whole process."""
    command = next(
        line for block in blocks("bash") for line in block.splitlines() if line.startswith("saved_model_cli")
    )
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *command.split()[1:]]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=exports).stdout
    assert "inputs['image_bytes']" in told and "outputs['probabilities']" in told


def test_the_request_is_json():
    sent = next(line for block in blocks("bash") for line in block.splitlines() if "b64" in line)
    text = re.sub(r"'\"\$\(.*?\)\"'", "AAAA", re.search(r"echo '(.*)' \|", sent)[1])
    assert json.loads(text) == {"signature_name": "encoded", "instances": [{"image_bytes": {"b64": "AAAA"}}]}
