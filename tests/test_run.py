"""A run from recipe to files, and every recipe through the whole path."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

import kerastl
from kerastl.data.load import load
from kerastl.errors import MissingData, UserError
from kerastl.evaluate_run import evaluate
from kerastl.preview import dry_run
from kerastl.recipe import names, recipe
from kerastl.run import train
from kerastl.schema import LastLayers

pytestmark = pytest.mark.usefixtures("step_by_step")

FILES = {
    "identity.json",
    "recipe.toml",
    "labels.json",
    "plan.txt",
    "history.csv",
    "curves.png",
    "predictions.png",
    "predictions_test.npz",
    "predictions_validation.npz",
    "metrics.json",
    "model.keras",
}


def test_what_a_run_leaves(finished):
    found = {"suspects.png", "duplicates.png"}  # where there is any of them
    assert FILES | {"logs"} == {path.name for path in finished.folder.iterdir()} - found
    assert {path.name for path in finished.exports.iterdir()} == {
        "model.keras",
        "model.h5",
        "saved_model",
        "labels.json",
        "README.md",
        "export.json",
    }
    assert finished.exports.name == "cifar10-finetune-first"
    assert isinstance(finished.model, keras.Model)
    with Image.open(finished.folder / "predictions.png") as grid:
        assert grid.size[0] > 500


def test_metrics_json_says_all_that_is_needed(finished):
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    assert json.loads(json.dumps(finished.metrics)) == metrics
    assert metrics["train"]["n"] == 48 and 0 <= metrics["train"]["accuracy"] <= 1
    test = metrics["test"]
    assert test["n"] == metrics["data"]["test"] == 360 and metrics["data"]["train"] == 48
    assert test["interval"][0] < test["accuracy"] < test["interval"][1]
    assert len(test["per_class"]) == 10 and sum(n for *_, n in test["confusion"]["cells"]) == test["n"]
    assert {"accuracy", "loss", "top5", "n", "interval"} <= set(metrics["validation"])
    assert [phase["name"] for phase in metrics["phases"]] == ["fine-tune", "head"]
    assert all(phase["seconds"] > 0 and phase["images_per_second"] > 0 for phase in metrics["phases"])
    assert metrics["seconds"] > 0 and metrics["peak_memory_bytes"] > 10**7
    assert metrics["versions"]["keras"] == keras.__version__ and metrics["seed"] == 0
    assert metrics["recipe"]["model"]["backbone"] == "SmallCNN"
    assert {it["file"] for it in metrics["exports"].values()} == {"model.keras", "model.h5", "saved_model"}
    table = json.loads((finished.exports / "export.json").read_text())
    assert table == {"run": metrics["run"], **metrics["exports"]} and metrics["exports_folder"] == str(finished.exports)


def test_the_saved_predictions_are_the_model_s(finished):
    saved = np.load(finished.folder / "predictions_test.npz")
    accuracy = (saved["probabilities"].argmax(axis=1) == saved["labels"]).mean()
    assert accuracy == pytest.approx(finished.metrics["test"]["accuracy"])


@pytest.mark.parametrize("split", ["test", "validation"])
def test_evaluating_again_gives_the_same(finished, split):
    again = kerastl.evaluate(finished.folder, split)
    assert again.accuracy == pytest.approx(finished.metrics[split]["accuracy"])
    assert again.loss == pytest.approx(finished.metrics[split]["loss"], rel=1e-5)


def test_the_recipe_of_a_run_is_in_its_folder(finished):
    """That it gives the same metrics, tests/test_resume.py shows."""
    assert recipe(finished.folder / "recipe.toml") == finished.recipe


def test_a_folder_with_a_run_is_left_alone(finished):
    with pytest.raises(UserError, match="holds a run already"):
        train(finished.recipe, finished.folder)


@pytest.mark.parametrize(
    ("folder", "split", "told"), [("nowhere", "test", "no finished run"), (None, "tset", "no tset split")]
)
def test_evaluating_what_is_not_there(finished, tmp_path, folder, split, told):
    with pytest.raises(UserError, match=told):
        evaluate(tmp_path / folder if folder else finished.folder, split)


def test_missing_data_ends_before_anything_is_written(tmp_path):
    with pytest.raises(MissingData):
        train(recipe("cifar10-finetune-first", **{"data.dir": str(tmp_path)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_baseline_is_trained_and_judged_beside(tiny, tmp_path):
    settings = {
        "baseline": {"strategy": "head-only", "model.head.widths": [8]},
        "export.formats": ["keras"],
        "export.folder": str(tmp_path / "exports"),
        "evaluate.report": True,
    }
    run = train(tiny("cifar10-freeze-first", "head-only", **settings), tmp_path / "run")
    assert run.baseline.folder == tmp_path / "run" / "baseline"
    assert [phase.name for phase in run.baseline.recipe.phases] == ["head"]
    assert run.baseline.recipe.model.head.widths == (8,) and run.baseline.exports is None
    assert run.baseline.metrics["test"]["n"] == run.metrics["test"]["n"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert page == (run.exports / "report.html").read_text()
    assert "Against the baseline" in page and 'data-key="baseline/metrics.json:test.accuracy"' in page
    assert "Against the baseline" not in (tmp_path / "run" / "baseline" / "report.html").read_text()


def test_a_dry_run_builds_no_weights_and_trains_nothing(tiny, tmp_path):
    plans, told = dry_run(tiny(**{"model.weights": str(tmp_path / "not-there.h5")}))
    assert len(plans) == 2 and told.startswith("digits: 48 training, 16 validation, 360 test images")


# Made small they do what another one does, or what the run of `finished` and those of tests/test_resume.py have done.
ALIKE = {
    "cifar10-fast",
    "cifar10-finetune-first",
    "cifar10-finetune-first-predictions",
    "cifar10-freeze-first",
    "cifar100-mlp-head-relu",
    "cifar100-resnet18",
}


# Each recipe keeps its phases, head, augmentation and data settings; data and backbone become small.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else []) for name in names()]
)
def test_every_recipe_runs(tiny, tmp_path, name):
    counts = {
        number: it.trainable for number, it in enumerate(recipe(name).phases) if isinstance(it.trainable, LastLayers)
    }
    few = {f"phases.{number}.trainable.last_layers": min(it.last_layers, 6) for number, it in counts.items()}
    spec = replace(tiny(name, **few, **{"export.formats": []}), baseline=None)
    run = train(spec, tmp_path / "run")
    assert {path.name for path in run.folder.iterdir()} >= FILES
    assert [phase["name"] for phase in run.metrics["phases"]] == [phase.name for phase in spec.phases]
    assert all(phase["steps"] == 2 for phase in run.metrics["phases"]), "48 images, 32 at a time"


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_recipe_runs_with_its_own_backbone(tiny, tmp_path, name):
    own = recipe(name)
    backbone = {"model.backbone": own.model.backbone, "model.options": own.model.options, "model.image_size": 64}
    run = train(tiny(name, **backbone, **{"export.folder": str(tmp_path / "exports")}), tmp_path / "run")
    assert run.metrics["test"]["n"] == run.metrics["data"]["test"] and len(run.metrics["exports"]) == 3


def test_judged_by_the_mean_with_mirror_images(tiny, tmp_path):
    run = train(tiny(**{"evaluate.flip": True, "export.formats": []}), tmp_path / "run")
    with np.load(tmp_path / "run" / "predictions_test.npz") as saved:
        probabilities = saved["probabilities"]
    images = load(run.recipe.data, 32).test.pixels
    plain, mirrored = (run.model.predict(pixels, verbose=0) for pixels in (images, images[:, :, ::-1]))
    np.testing.assert_allclose(probabilities, (plain + mirrored) / 2, atol=1e-6)
    test = run.metrics["test"]
    assert test["without_flip"]["accuracy"] == pytest.approx(
        np.mean(plain.argmax(1) == load(run.recipe.data, 32).test.labels)
    )
    assert evaluate(tmp_path / "run").accuracy == test["accuracy"]
    alone = pytest.approx(test["without_flip"]["loss"], rel=1e-5)
    assert test["calibration"]["nll"] == alone, "confidence is that of the saved model"


def test_metrics_say_what_was_cached(finished):
    fine_tune, head = finished.metrics["phases"]
    assert fine_tune["feature_seconds"] == 0 and head["precision"] == "float32"
