"""Runs side by side, and what is said of their differences."""

import html
import json
import re
import shutil

import numpy as np
import pytest

from kerastl.errors import UserError
from kerastl.evaluate.compare import COSTS, PAIRS, SCORES, TRAINING, compare
from kerastl.evaluate.compare_page import write_page
from kerastl.evaluate.statistics import accuracy_interval, mcnemar
from kerastl.tables import print_comparison


@pytest.fixture
def like(finished, tmp_path):
    """A function that copies the finished run, with other answers and other metrics."""

    def make(name, right=None, **changes):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("history.csv", "model.keras"):
            shutil.copy(finished.folder / file, folder)
        labels = np.load(finished.folder / "predictions_test.npz")["labels"]
        answers = labels if right is None else np.where(right, labels, (labels + 1) % 10)
        metrics = json.loads((finished.folder / "metrics.json").read_text()) | changes
        if "test" in metrics:
            correct = int((answers == labels).sum())
            metrics["test"] |= {"accuracy": correct / len(labels), "interval": accuracy_interval(correct, len(labels))}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        np.savez(folder / "predictions_test.npz", probabilities=np.eye(10)[answers], labels=labels)
        return folder

    return make


def first(n, of=360):
    return np.arange(of) < n


def seeds_of(folder, accuracies, like):
    where, runs = like(folder), [f"seed-{number}" for number in range(len(accuracies))]
    for run, accuracy in zip(runs, accuracies, strict=True):
        like(f"{folder}/{run}", first(round(360 * accuracy)))
    (where / "seeds.json").write_text(json.dumps({"seeds": list(range(len(runs))), "runs": runs}))
    return where


def test_rows_hold_the_numbers_of_the_runs(finished, like, tmp_path):
    other = like("other")
    found = compare([finished.folder, other], tmp_path / "compare.png")
    row = found.rows[0]
    assert list(row) == list({**SCORES, **TRAINING, **COSTS})
    metrics = finished.metrics
    assert row["backbone"] == "SmallCNN" and row["train images"] == "48"
    assert f"{metrics['test']['accuracy']:.4f} [" in row["test accuracy [95% interval]"]
    assert row["calibration error"] == f"{metrics['test']['calibration']['ece']:.4f}"
    assert row["parameters"] == f"{metrics['parameters']:,}" and row["seconds"] == f"{metrics['seconds']:.0f}"
    assert row["megabytes"] == f"{(finished.folder / 'model.keras').stat().st_size / 1e6:.1f}"
    slowest, fastest = sorted(phase["images_per_second"] for phase in metrics["phases"])
    assert slowest <= float(row["images/s in training"].replace(",", "")) + 1 and fastest >= slowest
    assert (tmp_path / "compare.png").stat().st_size > 1000


def test_better_is_said_where_the_test_says_so(like):
    found = compare([like("a", first(300)), like("b", first(330)), like("c", first(331))])
    a_b, a_c, b_c = found.pairs
    assert (a_b.better, a_c.better, b_c.better) == ("b", "c", None)
    assert a_b.verdict == "b is better than a (p < 0.0001)" and b_c.verdict == "no difference shown (p = 1)"
    assert a_b.found == mcnemar(first(300), first(330)) and a_b.n == (360,)
    assert a_b.told.startswith("+0.0833 [+0.0") and a_b.told.endswith("], n = 360")
    assert any("corrected for 3 tests (Holm)" in note for note in found.notes)


def test_the_first_may_be_the_better_one(like):
    [pair] = compare([like("a", first(330)), like("b", first(300))]).pairs
    assert pair.verdict == "a is better than b (p < 0.0001)" and pair.told.startswith("-0.0833")


def test_holm_s_correction_decides(like):
    """Six images more, none the other way: p = 0.031 by itself, and no longer one of three."""
    runs = [like("a", first(300)), like("b", first(306))]
    alone, *_ = compare(runs).pairs
    together, *_ = compare([*runs, like("c", first(303))]).pairs
    assert alone.p == together.found["p"] == pytest.approx(2 / 2**6) and together.p == pytest.approx(6 / 2**6)
    assert alone.better == "b" and together.better is None
    assert together.verdict == "no difference shown (p = 0.094; by itself p = 0.031)"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": {"train": 48, "digests": {"test": "others"}}}, "their test images are not the same"),
        ({"data": {"train": 48}}, "a run is from before kerastl kept what its test images were"),
        ({"test": {}}, "b was not scored on test images"),
    ],
)
def test_what_cannot_be_tested_is_said(like, changes, told):
    a, b = like("a", first(300)), like("b", first(330))
    metrics = json.loads((b / "metrics.json").read_text()) | changes
    if not metrics["test"]:
        del metrics["test"]
    (b / "metrics.json").write_text(json.dumps(metrics))
    found = compare([a, b])
    assert found.pairs[0].verdict == f"not tested: {told}" and found.pairs[0].better is None
    assert found.rows[1]["test accuracy [95% interval]"] == "-" or "data" in changes


def test_seeds_against_seeds(like):
    """Welch's test, between the recipes; a single run is no match for seeds."""
    low, high = seeds_of("low", (0.80, 0.81, 0.82), like), seeds_of("high", (0.90, 0.91, 0.92), like)
    found = compare([low, high, low / "seed-0"])
    seeded, *mixed = found.pairs
    assert seeded.test == "Welch" and seeded.better == "high" and seeded.n == (3, 3)
    assert seeded.told.startswith("+0.1") and seeded.told.endswith("], 3 and 3 seeds")
    assert {pair.verdict for pair in mixed} == {"not tested: one has several seeds, the other is a single run"}
    assert " ± " in found.rows[0]["test accuracy [95% interval]"]


def test_runs_of_the_same_name_are_told_apart(like, tmp_path):
    one = like("run")
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(one, tmp_path / "elsewhere" / "run")
    rows = compare([one, tmp_path / "elsewhere" / "run"]).rows
    assert rows[0]["run"] != rows[1]["run"]


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("metrics.json", None, r"no finished run, .*metrics\.json"),
        ("metrics.json", b"{", r"metrics\.json: is not JSON"),
        ("seeds.json", b"[]", r"seeds\.json: .*expected a table with seeds, runs"),
        ("predictions_test.npz", b"not an archive", r"predictions_test\.npz: is damaged .*numpy\.savez"),
        ("predictions_test.npz", None, r"predictions_test\.npz: there is no such file"),
    ],
)
def test_what_is_no_run_is_refused(like, file, content, told):
    a, b = like("a"), like("b")
    (b / file).unlink(missing_ok=True)
    if content is not None:
        (b / file).write_bytes(content)
    with pytest.raises(UserError, match=told):
        compare([a, b])


def test_the_page_holds_what_is_printed(like, tmp_path, capsys):
    seeds = [seeds_of(name, accuracies, like) for name, accuracies in (("s", (0.8, 0.82)), ("t", (0.81, 0.83)))]
    found = compare([like("<a>", first(300)), like("b", first(330)), *seeds])
    print_comparison(found)
    write_page(found, tmp_path / "compare.html")
    page = (tmp_path / "compare.html").read_text()
    printed, shown = capsys.readouterr().out, html.unescape(re.sub("<[^>]*>", " ", page))
    texts = {text for row in found.rows for text in row.values()}
    texts |= {column(pair) for pair in found.pairs for column in PAIRS.values()} | set(found.notes)
    for text in texts:
        assert text in printed and text in shown
    assert "<a>" not in page and "&lt;a&gt;" in page
    assert page.count("<svg") == 4 and not re.search(r'(?:src|href)="(?!data:|#)', page)
