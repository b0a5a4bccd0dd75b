"""Once a model is trained, nothing can lose the run: each part of what follows fails alone, and --resume does it again."""

import importlib
import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.deploy.formats import FORMATS
from kerastl.errors import KerastlWarning
from kerastl.parts import Parts
from kerastl.recipe import to_toml
from kerastl.run import train

pytestmark = pytest.mark.usefixtures("step_by_step")

# What fails, where; and the name under which that is said.
FAILING = {
    "curves": ("kerastl.evaluate.verdict.draw_curves", "curves.png"),
    "numbers": ("kerastl.evaluate.verdict.judge", "judging on test"),
    "temperature": ("kerastl.evaluate.verdict.fit_temperature", "temperature"),
    "calibration": ("kerastl.evaluate.verdict.calibration", "calibration on test"),
    "pictures": ("kerastl.evaluate.verdict.draw_grid", "predictions.png"),
    "TensorBoard": ("kerastl.evaluate.verdict.show_answers", "predictions.png"),
    "copies": ("kerastl.evaluate.verdict.examine", "copies and doubted labels"),
    "exports": ("kerastl.run.export_in_place", "exports"),
    "the card": ("kerastl.run.write_card", "model card"),
    "the report": ("kerastl.run.report", "report.html"),
    "the baseline": ("kerastl.run._baseline_of", "baseline"),
}


def named(place):
    """A module and a name in it; by a dotted name pytest would look into the function `kerastl.evaluate`."""
    module, _, name = place.rpartition(".")
    return importlib.import_module(module), name


def fails(*_, **__):
    raise ValueError("out of order")


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A run all of whose parts failed, and what it warned of."""
    folder = tmp_path_factory.mktemp("parts")
    spec = tiny(
        strategy="head-only",
        **{
            "baseline": {"strategy": "head-only"},
            "export.formats": ["keras"],
            "export.folder": str(folder / "exports"),
            "evaluate.report": True,
        },
    )
    with pytest.MonkeyPatch.context() as patch, pytest.warns(KerastlWarning) as told:
        for case in set(FAILING) - {"numbers"}:  # without them nothing is drawn either
            patch.setattr(*named(FAILING[case][0]), fails)
        run = train(spec, folder / "run")
    return run, [str(it.message) for it in told]


@pytest.mark.parametrize("case", sorted(set(FAILING) - {"numbers", "the card"}))
def test_what_fails_is_named_on_the_error_output_and_in_the_metrics(case, trained):
    run, told = trained
    part = FAILING[case][1]
    assert f"{part} failed: ValueError: out of order; the run goes on without it" in told
    assert json.loads((run.folder / "metrics.json").read_text())["failed"][part] == "ValueError: out of order"
    assert (run.folder / "model.keras").is_file() and (run.folder / "labels.json").is_file()


@pytest.mark.parametrize("case", ["numbers", "the card"])
def test_each_part_fails_alone(case, trained):
    run, _ = trained
    place, part = FAILING[case]
    with pytest.MonkeyPatch.context() as patch, pytest.warns(KerastlWarning, match="out of order"):
        patch.setattr(*named(place), fails)
        again = train(run.recipe, run.folder, resume=True)
    names = {name.removeprefix("baseline, ") for name in again.metrics["failed"]}
    assert part in names and all(it.startswith(part.split(" on ")[0]) for it in names)


def test_resume_does_what_failed_again(trained):
    run, _ = trained
    weights = run.model.get_weights()
    result = CliRunner().invoke(app, ["train", "--resume", str(run.folder)])
    assert result.exit_code == 0, result.output
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert "failed" not in metrics and metrics["test"]["calibration"] and metrics["exports"] and metrics["trust"]
    for name in ("report.html", "curves.png", "predictions.png", "baseline/metrics.json"):
        assert (run.folder / name).is_file()
    assert not (run.folder / "state").exists()
    saved = keras.models.load_model(run.folder / "model.keras", compile=False).get_weights()
    assert all(np.array_equal(*pair) for pair in zip(saved, weights, strict=True))


def test_a_command_says_what_failed_and_ends_with_1(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "h5", replace(FORMATS["h5"], load=fails))
    (tmp_path / "tiny.toml").write_text(
        to_toml(
            tiny(
                strategy="head-only",
                **{"export.folder": str(tmp_path / "e"), "export.formats": ["keras", "h5"], "baseline": None},
            )
        )
    )
    result = CliRunner().invoke(app, ["train", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1 and "test" in result.stdout
    assert "error: trained and saved, but for exports (metrics.json says why); kerastl train --resume" in result.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (
        list(metrics["exports"]) == ["keras"] and "model.h5 (ValueError: out of order)" in metrics["failed"]["exports"]
    )
    assert (tmp_path / "e" / "cifar10-finetune-first" / "README.md").is_file()


def test_who_asks_it_to_stop_is_obeyed():
    parts = Parts()
    with pytest.raises(KeyboardInterrupt), parts.alone("report.html"):
        raise KeyboardInterrupt
    assert parts.failed == {}


def folder_of(root, classes, test=None):
    """Random photos, 12 of each class; with `test`, so many of each class to test on beside them."""
    random = np.random.default_rng(0)
    splits = {"train": dict.fromkeys(classes, 12), "test": test} if test else {"": dict.fromkeys(classes, 12)}
    for folder, count in ((root / split / name, n) for split, counts in splits.items() for name, n in counts.items()):
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return f"folder:{root}"


# Classes and splits on which drawing, counting or writing once failed.
NAMES = [
    "price_$1_to_$5",
    "price_$5_to_$10^",
    r"$\frac{$",
    "$$",
    "<script>x<",
    "a|b `c` [d](javascript:e)",
    "\x1b[2Jred\x07",
    "two\nlines",
    "caf\udce9",
    "n" * 250,
    "猫",
    "كلب",
    "rtl\u202egpj.exe",
]
ODD_DATA = {
    "names that act on what they are written to": (NAMES, None),
    "a test split of one image": (["a", "b"], {"b": 1}),
}


@pytest.mark.parametrize("case", ODD_DATA)
def test_a_run_on_odd_data_ends_whole(case, tiny, tmp_path):
    classes, test = ODD_DATA[case]
    settings = {
        "data.name": folder_of(tmp_path / "photos", classes, test),
        "data.limit": None,
        "baseline": None,
        "export.folder": str(tmp_path / "exports"),
        "export.formats": ["keras"],
        "evaluate.report": True,
    }
    run = train(tiny(strategy="head-only", **settings), tmp_path / "run", progress="quiet")
    assert "failed" not in run.metrics and not (tmp_path / "run" / "state").exists()
    page, card = (tmp_path / "run" / "report.html").read_text(), next(tmp_path.glob("exports/*/README.md")).read_text()
    assert "<script>x" not in page and "<script>" not in card
    assert "[d](javascript" not in card and not set("\x1b\x07\u202e") & set(card + page)


def test_no_right_answer_is_a_score(tiny, tmp_path, monkeypatch):
    """And with the float counts that scikit-learn gives for an absent class."""
    from kerastl.evaluate.metrics import judge

    report = judge(np.array([[0.1, 0.9], [0.2, 0.8]]), np.array([0, 0]), ("a", "b"))
    assert report.accuracy == 0 and [it["n"] for it in report.per_class] == [2, 0]
    assert all(isinstance(it["n"], int) for it in report.per_class)
