"""The automatic recipe: what it looks at, what it decides, and that what it writes is a recipe like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import kerastl
from kerastl import auto
from kerastl.auto import CANDIDATES, Candidate, automatic
from kerastl.cli import app
from kerastl.errors import MissingWeights, UserError
from kerastl.recipe import is_data, recipe, to_toml

SMALL = {"model.backbone": "SmallCNN", "model.weights": "none", "model.image_size": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two kinds of pictures of 40 pixels, bright and dark, twenty of each."""
    root, random = tmp_path_factory.mktemp("photos") / "my photos", np.random.default_rng(0)
    for name, level in (("bright", 170), ("dark", 60)):
        (root / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(random.normal(level, 40, (40, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def chosen(folder):
    return automatic(folder, 5, **SMALL)


def test_what_is_decided_of_few_photos(chosen, folder):
    assert chosen.name == "my-photos" and chosen.data.name == f"folder:{folder}"
    assert chosen.data.validation == 0.2 and chosen.train.batch_size == 16 and chosen.train.minutes < 5
    assert chosen.train.views == "auto" and "with mirror images the loss" in chosen.why["augment.flip"]
    head, tuned = chosen.phases
    assert head.solve == "logistic" and tuned.only_if_better and tuned.batch_norm == "freeze"
    rates = [tuned.optimizer.learning_rate[group] for group in ("stage3", "stage4", "head")]
    assert rates == sorted(rates) and tuned.epochs == auto.MOST_EPOCHS


def test_it_is_a_recipe_with_a_reason_for_each_choice(chosen, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(chosen))
    assert recipe(path) == replace(chosen, why={})
    lines = path.read_text().splitlines()
    for key, told in chosen.why.items():
        place = lines.index(f"# {told}")
        assert lines[place + 1].startswith(key.rpartition(".")[2])
    assert "as asked for" in chosen.why["model.backbone"]


def test_a_strategy_takes_the_place_of_the_phases(folder):
    found = automatic(folder, 5, "head-only", **SMALL)
    assert [it.name for it in found.phases] == ["head"] and not any(key.startswith("phases.") for key in found.why)


def test_small_pictures_stay_small_and_the_graph_enlarges_them(folder):
    found = automatic(folder, 5, **SMALL | {"model.image_size": 64})
    assert found.data.image_size == 40 and found.model.image_size == 64


def test_mirror_images_of_digits_do_harm():
    found = automatic("digits", 5, **SMALL, **{"data.limit": 600})
    assert found.augment.flip == "none" and found.data.name == "digits"


def test_a_name_is_no_longer_than_files_can_be(folder, tmp_path):
    (tmp_path / ("写真" * 40)).symlink_to(folder)
    assert auto._about_data(str(tmp_path / ("写真" * 40)))[0]["name"] == "my-photos"
    assert auto._about_data("tfds:" + "x" * 300)[0]["name"] == "tfds-" + "x" * 35


def test_several_workers_cannot_choose(folder, monkeypatch):
    monkeypatch.setattr(auto, "worker", lambda: (0, 2))
    with pytest.raises(UserError, match=r"several workers .* name its recipe\.toml"):
        automatic(folder, 5, **SMALL)


def test_too_few_minutes_are_told_before_anything_is_trained(folder):
    with pytest.raises(UserError, match=r"--minutes: found 0\.1; .* Expected \d+\.\d or more"):
        automatic(folder, 0.1, **SMALL)


TRIED = (
    Candidate("A", 32, 0.1, 0.5),
    Candidate("B", 32, 0.2, 0.7),
    Candidate("C", 32, 0.3, 0.9),
    Candidate("D", 32, 90.0, 0.95),
)
# What is tried, and what is taken: by loss on held-out images; weights that are missing; seconds that there are.
CHOICES = {
    "the best": ({"A": 0.5, "B": 0.2, "C": 0.3}, 100, ["A", "C", "B"], "B"),
    "one without weights": ({"A": 0.5, "B": 0.2}, 100, ["A", "B"], "B"),
    "no time for others": ({"A": 0.5, "B": 0.2, "C": 0.3}, 1, ["A"], "A"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_which_candidates_are_tried(name, monkeypatch):
    losses, seconds, tried, best = CHOICES[name]

    def trial(candidate, spec):
        if candidate.backbone not in losses:
            raise MissingWeights("no weights")
        return auto.Trial(candidate, candidate.billions / 10, losses[candidate.backbone], 0.5, 100, spec, ())

    monkeypatch.setattr(auto, "CANDIDATES", TRIED)
    monkeypatch.setattr(auto, "_trial", trial)
    monkeypatch.setattr(auto, "from_table", lambda *_, **__: None)
    found = auto._try({"data": {"name": "digits"}}, 8, {}, seconds, "x")
    assert [it.candidate.backbone for it in found] == tried
    assert min(found, key=lambda it: it.loss).candidate.backbone == best
    losses = {}
    with pytest.raises(MissingWeights):
        monkeypatch.setattr(auto, "_trial", lambda *_: (_ for _ in ()).throw(MissingWeights("no weights")))
        auto._try({"data": {"name": "digits"}}, 8, {}, seconds, "x")


def test_the_table_of_candidates():
    assert [it.billions for it in CANDIDATES] == sorted(it.billions for it in CANDIDATES)
    for it in CANDIDATES:
        assert 0.6 < it.accuracy < 1 and it.source


def test_what_is_data_and_what_a_recipe(folder):
    assert all(map(is_data, (folder, "cifar10", "tfds:mnist"))) and not any(
        map(is_data, ("quickstart", "x.toml", "x" * 300))
    )


def test_the_call_from_a_folder_to_a_model(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = [it for key, value in SMALL.items() for it in ("--set", f"{key}={value}")]
    fast = ["--set", "phases.1.epochs=2", "--set", 'export.formats=["keras"]', "--minutes", "10"]
    result = CliRunner().invoke(app, ["train", str(folder), *changes, *fast])
    assert result.exit_code == 0, result.output
    assert result.output.index("data   folder:") < result.output.index("head (1/2) solved")
    assert kerastl.predict("runs/my-photos", folder / "dark" / "0.png")[0].classes[0] == "dark"
    resumed = CliRunner().invoke(app, ["train", str(folder), "--resume", "runs/my-photos"])
    assert resumed.exit_code == 0, resumed.output
    again = CliRunner().invoke(app, ["train", "runs/my-photos/recipe.toml", "--out", "again", "--set", "name=again"])
    assert again.exit_code == 0, again.output
    first, second = (np.load(Path(it) / "predictions_test.npz")["probabilities"] for it in ("runs/my-photos", "again"))
    np.testing.assert_array_equal(first, second)


def test_minutes_are_for_data(tmp_path):
    result = CliRunner().invoke(app, ["train", "quickstart", "--minutes", "5"])
    assert result.exit_code == 2 and "--set train.minutes=N" in result.stderr


def test_arrays_are_data_as_a_folder_is(tmp_path, monkeypatch):
    monkeypatch.setattr("kerastl.data.arrays.home", lambda: tmp_path)
    random = np.random.default_rng(0)
    images = np.clip(random.normal([[[[170]]], [[[60]]]] * 20, 40, (40, 32, 32, 3)), 0, 255).astype(np.uint8)
    source = images, ["bright", "dark"] * 20
    assert is_data(source)
    found = automatic(source, 5, **SMALL)
    folder = Path(found.data.name.removeprefix("folder:"))
    assert sorted(it.name for it in folder.iterdir()) == ["bright", "dark"] and len(list(folder.rglob("*.png"))) == 40
    assert automatic(source, 5, **SMALL).data == found.data
