"""The pages: built strictly, complete, from no other place than this; and what they and the README show can be done."""

import contextlib
import html.parser
import re
import runpy
import shlex
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from PIL import Image
from typer.testing import CliRunner

import kerastl
from kerastl.cli import app
from kerastl.data.decode import decode
from kerastl.recipe import keys

pytestmark = pytest.mark.usefixtures("step_by_step")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# What makes the training of the guide a matter of seconds.
TINY = [
    f"--set={pair}"
    for pair in (
        "model.backbone=SmallCNN",
        "model.weights=none",
        "model.image_size=32",
        "train.batch_size=16",
        "train.epochs_scale=0.001",
        'export.formats=["keras"]',
    )
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built pages; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    with contextlib.chdir(ROOT), pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


class Page(html.parser.HTMLParser):
    """What a page fetches when it is opened, and the ids in it."""

    def __init__(self, path):
        super().__init__()
        self.fetched, self.ids = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag in ("script", "img", "link", "iframe"):
            self.fetched += [given[name] for name in ("src", "href") if given.get(name)]


def test_every_public_name_is_explained(site):
    page = Page(site / "api" / "index.html")
    names = {it.rpartition(".")[2] for it in page.ids if it and it.startswith("kerastl.")}
    assert set(kerastl.__all__) <= names
    text = (site / "api" / "index.html").read_text(encoding="utf-8")
    assert "Parameters:" in text and "&gt;&gt;&gt;" in text and "<summary>Source</summary>" in text


def test_every_key_and_command_is_listed(site):
    text = (site / "recipes" / "index.html").read_text(encoding="utf-8")
    assert all(f"<code>{row[0]}</code>" in text for row in keys())
    commands = Page(site / "commands" / "index.html").ids
    assert {f"kerastl-{command.name or command.callback.__name__}" for command in app.registered_commands} <= commands


def test_no_page_fetches_anything_from_elsewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 9 and not (site / "hook.py").exists()
    assert not [(path, it) for path, page in pages.items() for it in page.fetched if re.match("(https?:)?//", it)]


def test_figures_are_those_that_were_measured():
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    figures = re.findall(r"\b0\.\d{3,}\b", (DOCS / "strategies.md").read_text(encoding="utf-8"))
    assert len(figures) > 20 and set(figures) <= set(re.findall(r"\b0\.\d{3,}\b", measured))


def blocks(page, language):
    """What stands in the fenced blocks of a language."""
    return re.findall(rf"^```{language}\b.*\n([\s\S]*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE)


def run(block, folder, **names):
    (folder / "block.py").write_text(block)
    return runpy.run_path(str(folder / "block.py"), init_globals=names)


def test_the_guide_to_your_own_images_can_be_followed(photos, tmp_path, monkeypatch, capsys):
    photos({f"photos/{name}": 20 for name in ("daisy", "rose", "tulip")}, suffix=".jpg")
    tags = Image.Exif()
    tags[0x0112] = 6  # a photo as a phone stores it: not square, to be turned
    with Image.open(tmp_path / "photos" / "rose" / "0.jpg") as photo:
        photo.resize((64, 40)).save(tmp_path / "new.jpg", exif=tags, quality=95)
    monkeypatch.chdir(tmp_path)
    guide = DOCS / "own-images.md"
    (recipe,) = blocks(guide, "toml")
    Path("photos.toml").write_text(recipe)
    assert kerastl.recipe("photos.toml").model.backbone == "MobileNetV2"
    commands = [shlex.split(line) for block in blocks(guide, "bash") for line in block.splitlines()]
    assert [it[1] for it in commands] == ["check", "train", "train", "evaluate", "predict", "predict"]
    for _, *arguments in commands:
        result = CliRunner().invoke(app, [*arguments, *(TINY if arguments[0] == "train" else [])])
        assert result.exit_code == 0, (arguments, result.output)
    assert len(Path("answers.csv").read_text().splitlines()) == 21
    for name in re.findall(r"`(runs/photos/\S+)`", guide.read_text()):
        assert Path(name).exists(), name
    (code,) = blocks(guide, "python")
    classifier = kerastl.open_model("saved_models/photos/model.keras")
    expected = classifier.raw(decode(Path("new.jpg"), classifier.size)[None])[0]  # without the temperature
    capsys.readouterr()
    run(code, tmp_path)
    name, probability = re.search(r"(daisy|rose|tulip) (0\.\d+)", capsys.readouterr().out).groups()
    assert name == classifier.class_names[expected.argmax()]
    assert float(probability) == pytest.approx(expected.max(), abs=1e-3)


def test_the_guide_to_backbones_can_be_followed(tmp_path, capsys):
    names, groups = blocks(DOCS / "backbones.md", "python")
    run(names, tmp_path)
    run(groups, tmp_path)
    told = capsys.readouterr().out
    assert "conv_pw_1_relu" in told and "stage1 " in told and "head " in told


def test_the_examples_of_the_readme_run(finished, tiny, tmp_path, monkeypatch):
    """As they stand, but that the run they begin with is a tiny one that is there."""
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/first").symlink_to(finished.folder)
    Path("saved_models").mkdir()
    Path("saved_models/cifar10-finetune-first").symlink_to(finished.exports)
    Image.new("RGB", (40, 30)).save("cat.jpg")
    monkeypatch.setattr(kerastl, "recipe", tiny)
    monkeypatch.setattr(kerastl, "train", lambda recipe, out: finished, raising=False)
    images = kerastl.load(finished.recipe.data, 32).test.pixels[:2]
    names = {"images": images}
    for block in blocks(ROOT / "README.md", "python"):
        names |= run(block, tmp_path, **names)
    assert names["answer"].classes and names["model"].predict(images).shape == (2, 10)
