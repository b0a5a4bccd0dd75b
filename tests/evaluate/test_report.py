"""report.html: every number in it is one of metrics.json, it fetches nothing, and it is made of whatever is there."""

import json
import re
import shutil
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from pages import Page, opened
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.errors import MissingData, UserError
from kerastl.evaluate import figures
from kerastl.evaluate.metrics import judge
from kerastl.evaluate.report import WHOLE, WORST, _confusion, look_up, report
from kerastl.train.history import read_history


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory):
    """The folder of a finished run, with its report."""
    folder = tmp_path_factory.mktemp("made") / "run"
    shutil.copytree(finished.folder, folder)
    report(folder)
    return folder


@pytest.fixture(scope="module")
def page(made):
    return Page((made / "report.html").read_text())


def gone(*_):
    raise MissingData("the images are not there")


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.setattr(import_module("kerastl.evaluate.report"), "load", gone)


def changed(made, tmp_path, change=lambda metrics: None):
    """The report of a copy of the run whose metrics are changed."""
    folder = tmp_path / "changed"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("report.html"))
    metrics = json.loads((folder / "metrics.json").read_text())
    change(metrics)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return Page(report(folder).read_text())


def test_every_number_is_that_of_the_run(made, page):
    metrics = json.loads((made / "metrics.json").read_text())
    with np.load(made / "predictions_test.npz") as saved:
        probabilities = saved["probabilities"].tolist()
    for key, value, shown in page.numbers:
        file, _, path = key.rpartition(":")
        there = {"": metrics, "predictions_test.npz": {"probabilities": probabilities}}[file]
        assert look_up(there, path) == value, f"{key}: {shown}"
    keys = {key for key, *_ in page.numbers}
    assert {"test.accuracy", "test.interval.0", "test.n", "test.per_class.9.recall", "test.confusion.cells.0.2"} <= keys
    assert {"phases.1.images_per_second", "plan.0.groups.0.parameters", "exports.h5.max_difference"} <= keys
    assert {"test.calibration.ece", "seed", "data.train"} <= keys
    assert len(page.numbers) > 180


def test_numbers_are_rounded_not_wrong(page):
    for key, value, shown in page.numbers:
        if shown.endswith("%"):
            assert abs(float(shown[:-1]) / 100 - value) <= 0.0051, key
        elif re.fullmatch(r"[\d,.]+", shown):
            assert abs(float(shown.replace(",", "")) - value) <= 0.51, key


def test_no_number_is_said_in_passing(page, finished):
    """What has a digit and is no number of the run: names, and the confidence of all intervals."""
    about = json.dumps(finished.metrics)
    for text in page.words:
        for word in re.findall(r"[^\s,;:()·]*\d[^\s,;:()·]*", text.replace("95%", "")):
            assert word.strip(".") in about, f"{word!r} in {text!r}"


def test_nothing_is_fetched_and_nothing_is_run(page):
    assert page.fetched == [] and not page.all("script") and not page.all("iframe")


def test_who_cannot_see_is_told(page):
    assert len(page.all("img")) >= 24 and all(it["alt"] for it in page.all("img"))
    drawn = page.all("svg")
    assert len(drawn) == 5 and all(it["role"] == "img" and len(it["aria-label"]) > 20 for it in drawn)
    assert all(it["role"] == "region" for it in page.all("div") if it.get("class") == "scroll")


def test_links_lead_somewhere(page):
    there = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(there), "each id once"
    assert {it["href"].removeprefix("#") for it in page.all("a")} <= there


def test_a_browser_asks_for_nothing_and_a_telephone_shows_it_whole(made, tmp_path, no_data):
    def coarse(metrics):
        metrics["test"]["per_class"][0]["name"] = name = "large_man-made_outdoor_things" * 2
        rows = [{"name": it, "n": 180, "accuracy": 0.5} for it in (name, "other")]
        judged = {"accuracy": 0.5, "interval": [0.4, 0.6], "per_class": rows, "confusion": [[90, 90], [0, 180]]}
        metrics["test"]["by_superclass"] = judged

    assert opened(made / "report.html") == ([], [], [])
    page = changed(made, tmp_path, coarse)
    assert "test.by_superclass.per_class.1.accuracy" in {key for key, *_ in page.numbers}
    assert opened(tmp_path / "changed" / "report.html") == ([], [], [])


def test_it_is_small_and_the_same_each_time(made, tmp_path):
    before = (made / "report.html").read_bytes()
    assert len(before) < 2_000_000
    shutil.copytree(made, tmp_path / "again")
    assert report(tmp_path / "again").read_bytes() == before


def test_without_the_data_it_is_made_all_the_same_and_says_so(made, tmp_path, no_data):
    shutil.copytree(made, tmp_path / "run")
    before = (tmp_path / "run" / "report.html").read_bytes()
    told = CliRunner().invoke(app, ["report", str(tmp_path / "run")])
    assert told.exit_code == 2 and "kept as it is" in told.output and "the images are not there" in told.output
    assert (tmp_path / "run" / "report.html").read_bytes() == before
    (tmp_path / "run" / "report.html").unlink()
    told = CliRunner().invoke(app, ["report", str(tmp_path / "run")])
    assert told.exit_code == 0 and f"report: {tmp_path / 'run' / 'report.html'}" in told.output
    alone = Page((tmp_path / "run" / "report.html").read_text())
    assert not alone.all("img") and len(alone.all("svg")) == 5
    assert any("No pictures: the images are not there" in text for text in alone.words)


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_data_than_the_run_had_is_not_shown(made, tmp_path, split):
    other = changed(made, tmp_path, lambda metrics: metrics["data"]["digests"].update({split: "of other images"}))
    assert not other.all("img") and any("not the data this run was made with" in text for text in other.words)


def test_without_the_model_only_grad_cam_is_missing(made, page, tmp_path):
    shutil.copytree(made, tmp_path / "other")
    (tmp_path / "other" / "model.keras").unlink()
    with pytest.raises(UserError, match=r"report\.html: kept as it is.*No Grad-CAM"):
        report(tmp_path / "other")
    (tmp_path / "other" / "report.html").unlink()
    other = Page(report(tmp_path / "other").read_text())
    assert 24 <= len(other.all("img")) < len(page.all("img"))
    assert any("No Grad-CAM: " in text for text in other.words)


def test_an_older_run_has_the_sections_that_it_has_numbers_for(made, tmp_path, no_data):
    def older(metrics):
        del metrics["plan"], metrics["test"]["calibration"], metrics["test"]["coverage"], metrics["exports"]

    page = changed(made, tmp_path, older)
    assert len(page.all("svg")) == 2 and not {"calibration", "exports"} & {it.get("id") for it in page.all("section")}
    assert "phase 1/2 fine-tune" in (tmp_path / "changed" / "report.html").read_text(), (
        "plan.txt stands in for the table"
    )


def test_a_run_that_was_not_scored(made, tmp_path):
    page = changed(made, tmp_path, lambda metrics: metrics.pop("test"))
    assert any("The test split was not scored" in text for text in page.words) and not page.all("img")


def test_copies_and_doubted_labels_are_shown(made, tmp_path):
    def doubt(metrics):
        few = {"n": 340, "accuracy": 0.125, "interval": [0.09, 0.17]}
        pair = {"test": 3, "train": 5, "kind": "near", "labels": ["1", "2"]}
        metrics["trust"]["test"] |= {"exact": 0, "near": 20, "pairs": [pair] * 20, "without_duplicates": few}
        label = {"label": "7", "answer": "1", "probability": 0.75}
        metrics["trust"]["suspects"] = {
            "n": 2,
            "shown": [{"split": it, "index": 4, **label} for it in ("test", "validation")],
        }

    page = changed(made, tmp_path, doubt)
    alts = [it["alt"] for it in page.all("img")]
    assert sum(alt in ("labelled 1, of the test split", "labelled 2, of the train split") for alt in alts) == 12
    assert {"labelled 7, of the test split", "labelled 7, of the validation split"} <= set(alts)
    shown = {key: value for key, value, _ in page.numbers}
    assert shown["trust.test.without_duplicates.accuracy"] == 0.125
    assert shown["trust.suspects.shown.1.probability"] == 0.75


def test_near_copies_that_were_not_looked_for(made, tmp_path, no_data):
    page = changed(made, tmp_path, lambda metrics: metrics["trust"]["test"].update(exact=0, near=None))
    assert "trust.test.near" not in {key for key, *_ in page.numbers}


def test_exports_that_were_timed_and_judged(made, tmp_path, no_data):
    def time(metrics):
        for row in metrics["exports"].values():
            row |= {"agreement": 1.0, "milliseconds_1": 12.345, "milliseconds_32": 200.0}
        metrics["exports"]["h5"]["test"] = {"n": 360, "accuracy": 0.5, "accuracy_lost": 0.01}

    shown = {key: text for key, _, text in changed(made, tmp_path, time).numbers}
    assert shown["exports.keras.milliseconds_1"] == "12.3 ms" and shown["exports.h5.test.accuracy"] == "50.0%"
    assert "exports.keras.test.accuracy" not in shown


def test_names_are_escaped(made, tmp_path, no_data):
    def rename(metrics):
        metrics["test"]["per_class"][0]["name"] = "<script>alert(1)</script>"

    page = changed(made, tmp_path, rename)
    assert not page.all("script") and any("<script>alert(1)</script>" in text for text in page.words)


def test_no_run(tmp_path):
    with pytest.raises(UserError, match=r"no finished run, .*metrics\.json"):
        report(tmp_path)


@pytest.mark.parametrize("classes", [3, WHOLE, WHOLE + 1])
@pytest.mark.parametrize("dense", [False, True])
def test_the_confusion_of_few_classes_is_shown_whole_of_many_the_worst_pairs(classes, dense):
    """As it is written, and as an earlier kerastl wrote it: rows of counts."""
    counts = np.random.default_rng(0).permutation(classes**2).reshape(classes, classes)
    cells = [[i, j, int(counts[i, j])] for i in range(classes) for j in range(classes) if counts[i, j]]
    scores = {"confusion": counts.tolist() if dense else {"size": classes, "cells": cells}}
    found = _confusion(scores, "confusion", [f"c{i}" for i in range(classes)])
    assert (found["cells"] is not None) == (classes <= WHOLE)
    wrong = sorted((counts[i, j] for i in range(classes) for j in range(classes) if i != j), reverse=True)
    assert [pair["n"] for pair in found["worst"]] == [n for n in wrong[:WORST] if n]
    worst = found["worst"][0]
    assert counts[int(worst["truth"][1:]), int(worst["answer"][1:])] == worst["n"]
    shown = [it for row in found["cells"] or [] for it in row] + found["worst"]
    assert all(look_up(scores, it["key"]) == it["n"] for it in shown if it["n"])
    if found["cells"]:
        assert [[it["n"] for it in row] for row in found["cells"]] == counts.tolist()


def test_the_confusion_of_ten_thousand_classes_is_small():
    names = [f"c{number}" for number in range(10_000)]
    probabilities = np.zeros((20, len(names)), np.float32)
    probabilities[np.arange(20), np.arange(20) * 7] = 1
    tracemalloc.start()
    judged = judge(probabilities, np.arange(20), names).to_dict()
    assert tracemalloc.get_traced_memory()[1] < 50e6, "a table of all classes by all has 800 MB"
    tracemalloc.stop()
    assert len(json.dumps(judged["confusion"])) < 1000 and judged["confusion"]["size"] == len(names)
    assert _confusion(judged, "confusion", names)["worst"][0]["n"] == 1


def test_curves_mark_the_phases_and_the_weights_that_were_kept(finished):
    rows = read_history(finished.folder / "history.csv")
    svg = figures.draw_quantity(rows, "loss", {"fine-tune": 1, "head": None})
    for text in (">train<", ">validation<", ">weights kept<", ">epoch<"):
        assert text in svg
    assert ">1<" in svg and "Loss over 2 epochs" in svg


@pytest.mark.parametrize(("rates", "named"), [
    ({"stem": 1e-3, "stage1": 1e-3, "stage2": 1e-3, "head": 1e-2}, ["stem to stage2", "head"]),
    ({"stem": None, "stage1": 1e-3, "stage2": 1e-2, "head": 1e-3}, ["stage1, head", "stage2"]),
    ({"stem": 1e-3, "stage1": 1e-2, "stage2": 1e-3, "head": 1e-3}, ["stem, stage2, head", "stage1"]),
])  # fmt: skip
def test_groups_of_one_rate_share_a_line(tiny, rates, named):
    groups = [{"name": name, "learning_rate": rate} for name, rate in rates.items()]
    plan = [{"name": "all", "epochs": 2, "steps_per_epoch": 10, "groups": groups}]
    phases = tiny("cifar100-progressive").phases[:1]
    svg = figures.draw_rates([{"phase": "all"}] * 2, plan, phases)
    assert set(re.findall("(?:st|he)[a-z0-9, ]*(?=</text>)", svg)) == set(named)
    places, drawn = figures._rates([{"phase": "all"}] * 2, plan, phases)
    assert np.nanmax(drawn["head"]) == pytest.approx(rates["head"]), "the peak of the cycle is between two epochs"
    assert (np.nanmin(places), np.nanmax(places)) == (0.55, 2.45)


def test_a_temperature_is_drawn_beside():
    bins = [{"low": 0.0, "high": 0.5, "n": 0, "confidence": None, "accuracy": None},
            {"low": 0.5, "high": 1.0, "n": 9, "confidence": 0.8, "accuracy": 0.6}]  # fmt: skip
    alone, both = figures.draw_reliability(bins), figures.draw_reliability(bins, bins)
    assert "with temperature" not in alone and ">with temperature<" in both and "0.80 sure 0.60 right" in both
