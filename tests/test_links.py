"""A stranger's run folder that holds a link: nothing takes it, and nothing outside is touched."""

import keras
import pytest

from kerastl.cli.training import recipe_of
from kerastl.deploy.classifier import open_model
from kerastl.deploy.export import export
from kerastl.deploy.of_run import export_run
from kerastl.errors import UserError
from kerastl.evaluate.compare import compare
from kerastl.evaluate.report import report
from kerastl.evaluate.similar import open_lookalikes
from kerastl.evaluate_run import judge_again
from kerastl.run import train
from kerastl.seeds import train_seeds
from kerastl.sweeps import sweep

TAKES_A_FOLDER = {
    "train": lambda folder, spec: train(spec, folder),
    "train --resume": lambda folder, spec: train(spec, folder, resume=True),
    "train --resume, its recipe": lambda folder, spec: recipe_of(folder),
    "train --seeds": lambda folder, spec: train_seeds(spec, folder),
    "sweep": lambda folder, spec: sweep(spec, {"seed": [1, 2]}, folder),
    "evaluate": lambda folder, spec: judge_again(folder),
    "report": lambda folder, spec: report(folder),
    "compare": lambda folder, spec: compare([folder, folder]),
    "export": lambda folder, spec: export_run(folder),
    "export into it": lambda folder, spec: export(keras.Model(), folder, ["keras"], [], {}),
    "predict": lambda folder, spec: open_model(folder),
    "explain --similar": lambda folder, spec: open_lookalikes(None, folder),
}


@pytest.mark.parametrize("name", TAKES_A_FOLDER)
def test_a_folder_with_a_link_is_taken_by_nobody(name, tiny, tmp_path):
    out, folder = tmp_path / "out", tmp_path / "sent"
    out.mkdir()
    folder.mkdir()
    (folder / "recipe.toml").write_text("")
    (folder / "logs").symlink_to(out)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=f"sent/logs: is a link to {out};.*Delete it"):
        TAKES_A_FOLDER[name](folder, tiny())
    assert sorted(tmp_path.rglob("*")) == before
