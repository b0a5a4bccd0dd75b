"""Pictures are written whole, and show what they were given."""

from dataclasses import replace

import numpy as np
from PIL import Image

from kerastl.evaluate.plots import draw_curves, draw_grid, draw_overlaid, draw_rates, draw_sweep
from kerastl.train.lr_find import RangeTest

ROWS = [
    {"phase": p, "epoch": 1.0, "loss": 1.0, "accuracy": a, "val_loss": 1.1, "val_accuracy": a - 0.1}
    for p, a in (("one", 0.3), ("one", 0.5), ("two", 0.7))
]


def looked_at(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def has_colour(pixels, hexadecimal):
    colour = [int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(pixels.astype(int) - colour).max(axis=2) < 12).sum() > 20


def test_curves_with_and_without_validation(tmp_path):
    draw_curves(ROWS, tmp_path / "a.png")
    draw_curves([{**row, "val_loss": None, "val_accuracy": None} for row in ROWS], tmp_path / "b.png")
    both, alone = looked_at(tmp_path / "a.png"), looked_at(tmp_path / "b.png")
    assert has_colour(both, "#0072B2") and has_colour(both, "#D55E00")
    assert has_colour(alone, "#0072B2") and not has_colour(alone, "#D55E00")
    assert has_colour(both, "#999999"), "the line between two phases"
    assert list(tmp_path.glob("*.tmp")) == []


def test_grid_says_true_and_false_in_colours(tmp_path):
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    draw_grid(pixels, [0, 1], [[0.9, 0.1], [0.8, 0.2]], ("cat", "dog"), tmp_path / "grid.png")
    grid = looked_at(tmp_path / "grid.png")
    assert has_colour(grid, "#009E73") and has_colour(grid, "#D55E00")


def test_titles_are_whole(tmp_path):
    """Matplotlib's own layout cut off the first line of the first row."""
    pixels = np.zeros((5, 8, 8, 3), np.uint8)
    draw_grid(pixels, [1] * 5, [[0.9, 0.1]] * 5, ("cat", "dog"), tmp_path / "grid.png")
    grid = looked_at(tmp_path / "grid.png")
    assert (grid[:8] == 255).all() and (grid[8:40] < 200).any(), "white above the first line of text"


def test_overlaid_and_sweep(tmp_path):
    draw_overlaid({"first": ROWS, "second": ROWS[:2]}, tmp_path / "c.png")
    assert looked_at(tmp_path / "c.png").std() > 5
    tried = {"phases.0.epochs": [1, 3], "augment.flip": ["none", "both"]}
    for scales in ({}, {"phases.0.epochs": "linear"}, {"phases.0.epochs": "log"}):
        draw_sweep(tried, [0.5, 0.6], [(0.4, 0.6), (0.5, 0.7)], scales, tmp_path / "s.png")
        assert has_colour(looked_at(tmp_path / "s.png"), "#0072B2")


def test_rates_with_and_without_suggestions(tmp_path):
    factors = np.geomspace(1e-6, 10, 20)
    one = RangeTest(0, "head", {"head": 1e-2}, factors, 2 + factors, 2 + factors, {"steepest": 0.1, "min/10": 0.01})
    two = replace(one, rates={"stage4": 1e-3, "head": 1e-2}, suggestions={"steepest": None, "min/10": None})
    draw_rates([one, two], tmp_path / "both.png")
    draw_rates([two], tmp_path / "none.png")
    assert has_colour(looked_at(tmp_path / "both.png"), "#009E73")
    assert not has_colour(looked_at(tmp_path / "none.png"), "#009E73")
