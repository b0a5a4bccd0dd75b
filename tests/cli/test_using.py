"""Commands that use a model: what they print, write, and end with."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import kerastl
from kerastl.cli import app
from kerastl.tables import print_run


def call(*arguments):
    """Exit code, output and error output."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(3):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )
    (folder / "1a.jpg").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def answers(finished, pictures):
    return kerastl.predict(finished.folder, pictures, top=2)


def short(answer):
    return [pytest.approx(p, rel=1e-5) for p in answer.probabilities]


def test_a_line_for_each_image_and_1_for_a_broken_one(finished, pictures, answers):
    code, out, err = call("predict", finished.folder, pictures, "--top", 2)
    assert code == 1 and len(out.splitlines()) == 3
    first = answers[0]
    assert out.splitlines()[0] == (
        f"{pictures}/0.png: {first.classes[0]} {100 * first.probabilities[0]:.1f}%, "
        f"{first.classes[1]} {100 * first.probabilities[1]:.1f}%"
    )
    assert f"{finished.folder} looks at the middle square of each picture, at 8 x 8 pixels" in err.replace("\n", "")
    assert f"{pictures}/1a.jpg: not an image" in err and "error: 1 of 4 images cannot be read" in err


def test_the_end_of_a_run_says_the_next_step(finished, capsys):
    print_run(finished)
    told = capsys.readouterr().out
    assert f"kerastl predict {finished.folder} PHOTO.jpg" in told and "kerastl app --models" in told
    assert ("report.html" in told) == finished.recipe.evaluate.report


def test_json_is_a_stream_of_rows(finished, pictures, answers):
    code, out, _ = call("predict", finished.exports / "model.h5", pictures, "--top", 2, "--json", "--batch", 2)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1 and [row["file"] for row in rows] == [it.file for it in answers]
    assert rows[2]["error"].startswith("not an image") and "predictions" not in rows[2]
    for row, answer in zip(rows, answers, strict=True):
        assert [it["class"] for it in row.get("predictions", [])] == list(answer.classes)
        assert [it["probability"] for it in row.get("predictions", [])] == short(answer)


def test_csv_into_a_file(finished, pictures, answers, tmp_path):
    out = tmp_path / "answers.csv"
    code, told, _ = call("predict", finished.folder, pictures / "0.png", pictures / "2.png", "--csv", "--out", out)
    assert code == 0 and told == ""
    header, *rows = csv.reader(out.read_text().splitlines())
    assert header == ["file", *(f"{what}_{n}" for n in range(1, 6) for what in ("class", "probability")), "error"]
    assert [row[0] for row in rows] == [str(pictures / "0.png"), str(pictures / "2.png")]
    for row, answer in zip(rows, (answers[0], answers[3]), strict=True):
        assert (row[1], row[3]) == answer.classes and [float(row[2]), float(row[4])] == short(answer)
        assert row[-1] == ""


def test_the_mirror_image_counts_when_asked(finished, pictures):
    _, out, _ = call("predict", finished.folder, pictures / "0.png", "--json", "--flip", "--top", 10)
    [expected] = kerastl.predict(finished.folder, pictures / "0.png", top=None, flip=True)
    [row] = map(json.loads, out.splitlines())
    assert [it["probability"] for it in row["predictions"]] == short(expected)


def test_stopped_half_way_nothing_half_written(finished, pictures, answers, tmp_path, monkeypatch):
    def stopped(*_, **how):
        yield answers[0]
        raise KeyboardInterrupt

    monkeypatch.setattr("kerastl.deploy.predict.predict_stream", stopped)
    code, _, err = call("predict", finished.folder, pictures, "--json", "--out", tmp_path / "answers.json")
    assert code == 130 and "interrupted" in err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "{pictures}"], "error: nowhere: no such file or folder; expected a model"),
        (["{run}", "nowhere.png"], "error: nowhere.png: no such file or folder; expected an image"),
        (["{run}", "{empty}"], "found no image; expected files such as .jpg"),
        (["{run}", "{pictures}", "--json", "--csv"], "error: found --json and --csv; expected one of them"),
        (["{run}", "{pictures}", "--out", "no/where.json"], "error: --out no/where.json: no folder no; expected"),
    ],
)
def test_what_the_user_can_mend(finished, pictures, tmp_path, arguments, told):
    places = {"run": finished.folder, "pictures": pictures, "empty": tmp_path}
    code, _, err = call("predict", *(argument.format(**places) for argument in arguments))
    assert code == 2 and told in err and "Traceback" not in err


@pytest.mark.parametrize(("folder", "told"), [("nowhere", "error: nowhere: no such folder"), (".", "holds no model")])
def test_a_page_without_models_does_not_open(tmp_path, monkeypatch, folder, told):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("app", "--models", folder)
    assert code == 2 and told in err and "http" not in err
