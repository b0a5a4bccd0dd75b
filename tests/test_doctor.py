"""The doctor's facts are those of the machine, and every rule finds what it is for, and nothing else."""

import copy
import json
import re

import keras
import pytest
from typer.testing import CliRunner

from kerastl import doctor
from kerastl.cli import app
from kerastl.model.small_cnn import small_cnn
from kerastl.tables import print_doctor
from kerastl.train import precision

SOUND = {
    "versions": {"python": "3.11.7", "kerastl": "0.1.0", "tensorflow": "2.21.0"},
    "packages": {"unmet": [], "extras": {"hub": ["keras-hub>=0.32"], "sweep": []}},
    "machine": {
        "system": "Linux",
        "processor": "A processor",
        "instructions": ["avx", "avx2"],
        "cores": 8,
        "memory": 16e9,
        "nvidia": {"devices": ["NVIDIA T4, 15360 MiB, 550.54"], "failed": None},
    },
    "tensorflow": {"failed": None, "devices": ["CPU:0", "GPU:0"]},
    "places": [
        {"what": "runs", "path": "/runs", "moved_by": "--out", "bytes": 1, "free": 5e9, "unwritable": None},
    ],
    "speed": None,
}


def ill(**changes):
    """The sound facts with some values replaced, by dotted path."""
    found = copy.deepcopy(SOUND)
    for dotted, value in changes.items():
        *way, last = dotted.split("__")
        table = found
        for step in way:
            table = table[int(step) if step.isdecimal() else step]
        table[last] = value
    return found


RULES = {
    "a package too old": (
        ill(packages__unmet=[{"needs": "numpy>=2.0", "found": "1.26.4", "by": "kerastl"}]),
        {},
        "numpy>=2.0 is needed by kerastl; found 1.26.4",
        'pip install "numpy>=2.0"',
    ),
    "not installed": (ill(packages=None), {}, "kerastl is not installed as a package", "pip install ."),
    "no AVX": (
        ill(machine__instructions=["fma"], tensorflow__failed="the processor has no AVX"),
        {},
        "cannot be started: the processor has no AVX",
        "use a machine with AVX",
    ),
    "a broken installation": (ill(tensorflow__failed="ImportError: x"), {}, "ImportError: x", "a new environment"),
    "a GPU without its libraries": (
        ill(tensorflow__devices=["CPU:0"]),
        {},
        "nvidia-smi shows NVIDIA T4, 15360 MiB, 550.54, TensorFlow sees no GPU",
        'pip install "tensorflow[and-cuda]==2.21.0"',
    ),
    "a hidden GPU": (
        ill(tensorflow__devices=["CPU:0"]),
        {"CUDA_VISIBLE_DEVICES": "-1"},
        "TensorFlow sees no GPU",
        "unset CUDA_VISIBLE_DEVICES",
    ),
    "a driver that fails": (
        ill(machine__nvidia={"devices": [], "failed": "Driver/library version mismatch"}),
        {},
        "nvidia-smi fails: Driver/library version mismatch",
        "install the driver again",
    ),
    "a full disk": (ill(places__0__free=2e8), {}, "/runs (runs) has 0.2 GB left", "make room, or name another"),
    "a folder that is read only": (
        ill(places__0__unwritable="OSError: Read-only file system"),
        {},
        "/runs (runs) cannot be written to: OSError",
        "name another place with --out",
    ),
    "a TensorFlow newer than tested": (
        ill(packages__unmet=[{"needs": "tensorflow<2.22,>=2.20", "found": "2.22.0rc1", "by": "kerastl"}]),
        {},
        "warning: tensorflow 2.22.0rc1 is newer than kerastl was tested with; it may work all the same",
        'if something fails, pip install "tensorflow<2.22,>=2.20"',
    ),
    "a Keras newer than tested": (
        ill(packages__unmet=[{"needs": "keras<3.16,>=3.15", "found": "4.0", "by": "kerastl"}]),
        {},
        "warning: keras 4.0 is newer",
        'pip install "keras<3.16,>=3.15"',
    ),
    "a TensorFlow too old": (
        ill(packages__unmet=[{"needs": "tensorflow<2.22,>=2.20", "found": "2.19.1", "by": "kerastl"}]),
        {},
        "problem: tensorflow<2.22,>=2.20 is needed by kerastl; found 2.19.1",
        'pip install "tensorflow<2.22,>=2.20"',
    ),
    "a TensorFlow that another package cannot work with": (
        ill(packages__unmet=[{"needs": "tensorflow<2.21", "found": "2.21.0", "by": "tensorflow-text"}]),
        {},
        "problem: tensorflow<2.21 is needed by tensorflow-text; found 2.21.0",
        'pip install "tensorflow<2.21"',
    ),
    "little memory": (
        ill(machine__memory=2e9),
        {},
        "found 2.0 GB of memory; features alone may take 2 GB",
        "--set train.cache_budget.ram=500000000",
    ),
}


def problems(found):
    rows = {"problem": doctor.RULES, "warning": doctor.WARNINGS}
    return [
        (f"{kind}: {told}", remedy) for kind, rules in rows.items() for rule in rules for told, remedy in rule(found)
    ]


@pytest.mark.parametrize("name", RULES)
def test_what_is_wrong_is_one_problem_with_its_remedy(name, monkeypatch):
    found, variables, problem, remedy = RULES[name]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    (pair,) = problems(found)
    assert problem in pair[0] and remedy in pair[1]


@pytest.mark.parametrize("found", [SOUND, ill(machine__memory=None), ill(machine__instructions=None)])
def test_what_is_sound_or_unknown_is_no_problem(found):
    assert problems(found) == []


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that installs a package of a name and requirements, as far as its metadata go."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, *lines, version="1.0"):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines))
        )

    return install


def test_packages_are_held_against_their_own_metadata(installed):
    installed(
        "made_up",
        "Provides-Extra: plain",
        "Provides-Extra: all",
        "Provides-Extra: there",
        "Requires-Dist: made_up_old >= 2",
        "Requires-Dist: made_up_sound",
        "Requires-Dist: made_up_windows; sys_platform == 'nowhere'",
        "Requires-Dist: made_up_absent; extra == 'plain'",
        "Requires-Dist: made_up[plain]; extra == 'all'",
        "Requires-Dist: made_up_sound >= 1; extra == 'there'",
    )
    installed("made_up_old", version="1.5")
    installed("made_up_sound", "Requires-Dist: made_up_old < 1", "Requires-Dist: made_up")
    assert doctor.packages("made_up") == {
        "unmet": [
            {"needs": "made_up_old>=2", "found": "1.5", "by": "made_up"},
            {"needs": "made_up_old<1", "found": "1.5", "by": "made_up_sound"},
        ],
        "extras": {"all": ["made_up_absent"], "plain": ["made_up_absent"], "there": []},
    }
    assert doctor.packages("made_up_absent") is None


TOOLS = {
    "echo 'NVIDIA T4, 15360 MiB, 550.54'; echo 'NVIDIA T4, 15360 MiB, 550.54'": (2, None),
    "echo 'Failed to initialize NVML' >&2; exit 18": (0, "Failed to initialize NVML"),
    "exit 1": (0, "no answer"),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_of_the_driver_is_asked(tool, tmp_path, monkeypatch):
    devices, failed = TOOLS[tool]
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    nvidia = doctor.hardware()["nvidia"]
    assert len(nvidia["devices"]) == devices and nvidia["failed"] == failed


def test_places_are_weighed_and_tried(tmp_path, monkeypatch):
    kept = tmp_path / "keras" / "kerastl" / "features"
    kept.mkdir(parents=True)
    (kept / "rows").write_bytes(bytes(1000))
    (tmp_path / "a file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "a file" / "prepared"))
    first, *_, prepared, _runs = doctor.places()
    assert first["bytes"] == 1000 and first["free"] > 0 and first["unwritable"] is None
    assert prepared["path"].endswith("a file/prepared") and "NotADirectory" in prepared["unwritable"]
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "a file", *kept.parents[:2], kept, kept / "rows"])


def test_a_start_that_fails_is_told_and_nothing_is_timed(monkeypatch):
    def broken():
        raise ImportError("numpy.core.multiarray failed to import\nand much more")

    monkeypatch.setattr(doctor, "start_tensorflow", broken)
    found = doctor.examine()
    assert found["tensorflow"]["failed"] == "ImportError: numpy.core.multiarray failed to import"
    assert found["speed"] is None and "cannot be started" in found["problems"][-1]["problem"]


def test_without_avx_tensorflow_is_not_even_imported(monkeypatch):
    monkeypatch.setattr(doctor, "start_tensorflow", lambda: pytest.fail("it would end the process"))
    assert doctor.as_started({"instructions": ["fma"]})["failed"] == "the processor has no AVX"


def test_the_speed_is_that_of_the_steps(monkeypatch):
    monkeypatch.setattr(keras.applications, "ResNet50", lambda input_shape, **how: small_cnn(input_shape))
    told = doctor.speed()
    assert told["forward"] > 0 and told["training"] > 0
    monkeypatch.setattr(precision, "step_seconds", lambda *how: {"float32": 2.0 if how[2] else 0.5})
    assert (doctor.speed()["forward"], doctor.speed()["training"]) == (64.0, 16.0)


def test_the_command_prints_it_and_ends_with_1_where_something_is_wrong(monkeypatch, capsys):
    result = CliRunner().invoke(app, ["doctor", "--no-probe", "--json"])
    found = json.loads(result.output)
    assert result.exit_code == bool(found["problems"]) and "CPU:0" in found["tensorflow"]["devices"]
    assert found["machine"]["cores"] >= 1 and found["versions"]["keras"] == keras.__version__
    monkeypatch.setattr(
        doctor,
        "examine",
        lambda probe: {**ill(packages=None), "problems": [{"problem": "P", "remedy": "R"}], "warnings": []},
    )
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1 and "problem: P\n remedy: R" in result.output
    print_doctor(
        {**SOUND, "speed": {**doctor.PROBED, "forward": 610.4, "training": 130.2}, "problems": [], "warnings": []}
    )
    told = capsys.readouterr().out
    assert "forward 610 images/s, training 130 images/s" in told and "nothing wrong was found" in told
    assert (
        re.search(r'hub +keras-hub>=0.32 +pip install "kerastl\[hub\]"', told)
        and "NVIDIA T4" in told
        and "8 cores, 16.0 GB of memory" in told
    )


def test_a_warning_is_printed_and_the_command_ends_with_0(monkeypatch):
    found = {**SOUND, "problems": [], "warnings": [{"warning": "W", "remedy": "R"}]}
    monkeypatch.setattr(doctor, "examine", lambda probe: found)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0 and "warning: W\n remedy: R\nnothing wrong was found" in result.output
