"""Recipes: those that come along, overrides, strategies, and the message of every mistake."""

import pytest

from kerastl import recipe as recipes
from kerastl.errors import RecipeError
from kerastl.recipe import keys, names, override, parse_override, parse_value, recipe, strategy_names, to_toml
from kerastl.schema import EarlyStopping, LastLayers, Normalize, Recipe

GOOD = """
description = "mine"
[data]
name = "digits"
[model]
backbone = "SmallCNN"
weights = "none"
image_size = 32
[[phases]]
name = "one"
epochs = 2
optimizer = { learning_rate = 0.1 }
"""


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", names())
def test_every_recipe_reads_and_survives_a_round_trip(name, tmp_path):
    first = recipe(name)
    assert first.name == name and first.phases
    again = recipe(write(tmp_path, to_toml(first)))
    assert again == first


@pytest.mark.parametrize("name", strategy_names())
def test_every_strategy_fits_every_place(name):
    assert recipe("cifar10-finetune-first", strategy=name).strategy == name


def test_a_file_of_ones_own(tmp_path):
    mine = recipe(write(tmp_path, GOOD))
    assert (mine.name, mine.strategy, mine.phases[0].epochs) == ("mine", "", 2)
    assert mine.phases[0].optimizer.learning_rate == 0.1


MISTAKES = [
    ('colour = "red"\n' + GOOD, ["mine.toml: colour: unknown key", "valid: description"]),
    (
        GOOD.replace("image_size = 32", "image_sise = 32"),
        ["model.image_sise: unknown key", "did you mean 'image_size'?"],
    ),
    (GOOD.replace("epochs = 2", "epochs = 0"), ["phases.0.epochs: found 0", "at least 1"]),
    (GOOD.replace('"digits"', '"digits"\non_error = "ignore"'), ["data.on_error: found 'ignore'", "fail", "skip"]),
    (GOOD.replace('"digits"', '"digits"\ncache = "tape"'), ["data.cache: found 'tape'", "auto, ram, disk, none"]),
    (GOOD + '[evaluate]\nduplicates = "few"', ["evaluate.duplicates: found 'few'", "near, exact, none"]),
    (GOOD.replace("epochs = 2", "epochs = 2.5"), ["phases.0.epochs: found 2.5", "a whole number"]),
    (GOOD.replace("0.1 }", "-1 }"), ["phases.0.optimizer.learning_rate: found -1", "above 0"]),
    (GOOD.replace("{ learning_rate = 0.1 }", "{}"), ["phases.0.optimizer.learning_rate: is missing"]),
    (
        GOOD.replace('name = "one"', 'name = "one"\ntrainable = "heads"'),
        ["phases.0.trainable: found 'heads'", "'all' or 'head'"],
    ),
    (GOOD.replace('name = "one"', 'name = "one"\nbatch_norm = "thaw"'), ["batch_norm: found 'thaw'", "update, freeze"]),
    (
        GOOD + "[[phases]]\nname = 'one'\nepochs = 1\noptimizer = { learning_rate = 1 }",
        ["the names one, one", "each once"],
    ),
    (GOOD.replace('backbone = "SmallCNN"', ""), ["model.backbone: is missing"]),
    (
        GOOD.replace("learning_rate = 0.1", 'learning_rate = 0.1, name = "adam", momentum = 0.9'),
        ["only sgd and rmsprop"],
    ),
    (GOOD.replace("learning_rate = 0.1", "learning_rate = 0.1, nesterov = true"), ["nesterov: only sgd has it"]),
    (GOOD.replace("epochs = 2", "epochs = 2\nschedule = { warmup = 0.1 }"), ["warmup: only cosine and one-cycle"]),
    (
        GOOD.replace('name = "digits"', 'name = "digits"\nvalidation = 0').replace(
            "epochs = 2", "epochs = 2\nkeep_best = true"
        ),
        ["data.validation is 0", "'one' chooses its weights on validation images"],
    ),
    (
        GOOD.replace("epochs = 2", 'epochs = 2\ntrainable = ["stage4", "head"]').replace(
            "0.1 }", "{ stage3 = 1, head = 1 } }"
        ),
        ["found rates for stage3, head", "one for each of stage4, head"],
    ),
    (GOOD.replace("weights =", "head = { widths = [8], dropout = [0.1] }\nweights ="), ["found 1 rates", "one, or 2"]),
    (
        GOOD.replace("weights =", "preprocessing = { mean = [0.5], std = [1, 1, 1] }\nweights ="),
        ["1 means and 3 deviations"],
    ),
    (GOOD.split("[[phases]]")[0], ["phases: is missing", "strategy = NAME"]),
    ('strategy = "fulll"\n' + GOOD.split("[[phases]]")[0], ["strategy: found 'fulll'", "did you mean 'full'?"]),
    (GOOD + '[train]\ntrackers = ["neptune"]', ["train.trackers.0: found 'neptune'", "valid: mlflow, wandb"]),
    ('name = "../../elsewhere"\n' + GOOD, ["name: found '../../elsewhere'", "files are named after it"]),
    (GOOD.replace('name = "one"', 'name = "a/b"'), ["phases.0: name: found 'a/b'"]),
    ("seed = 4_294_967_296\n" + GOOD, ["seed: found 4294967296", "at most 4294967295"]),
    ("not toml", ["mine.toml: not TOML"]),
    ("seed = " + "[" * 3000, ["mine.toml: not TOML"]),
    ("seed = " + "9" * 5000, ["mine.toml: not TOML"]),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_mistakes(tmp_path, text, told):
    with pytest.raises(RecipeError) as caught:
        recipe(write(tmp_path, text))
    assert "mine.toml" in str(caught.value)
    for part in told:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("cifar10-finetune-frist", "did you mean 'cifar10-finetune-first'?"),
        ("nowhere.toml", "nowhere.toml: no such file"),
        ("a" * 5000 + ".toml", "cannot be read: .*File name too long"),
        ("nothing-like-it", "valid: cifar10-best-cpu"),
    ],
)
def test_no_such_recipe(spec, told):
    with pytest.raises(RecipeError, match=told.replace("?", r"\?")):
        recipe(spec)


OVERRIDES = [
    ("model.image_size=96", lambda r: r.model.image_size, 96),
    ("data.limit=2000", lambda r: r.data.limit, 2000),
    ("model.weights=w.h5", lambda r: r.model.weights, "w.h5"),
    ("phases.0.epochs=7", lambda r: r.phases[0].epochs, 7),
    ("phases.0.trainable.last_layers=3", lambda r: r.phases[0].trainable, LastLayers(3)),
    ("phases.1.early_stopping.patience=5", lambda r: r.phases[1].early_stopping, EarlyStopping(5)),
    (
        "phases.0.optimizer.learning_rate={stage4=0.1,head=1}",
        lambda r: r.phases[0].optimizer.learning_rate,
        {"stage4": 0.1, "head": 1.0},
    ),
    (
        "model.preprocessing={mean=[0.5,0.5,0.5],std=[1,1,1]}",
        lambda r: r.model.preprocessing,
        Normalize((0.5,) * 3, (1.0,) * 3),
    ),
    ("strategy=head-only", lambda r: r.phases[0].trainable, "head"),
]


@pytest.mark.parametrize(("text", "look", "value"), OVERRIDES)
def test_overrides(text, look, value):
    key, parsed = parse_override(text)
    assert look(recipe("cifar10-finetune-first", **{key: parsed})) == value


BAD_OVERRIDES = [
    ({"model.image_sise": 1}, "--set model.image_sise=1: "),
    ({"phases.2.epochs": 1}, "--set phases.2.epochs: found '2'; expected a number from 0 to 1"),
    ({"phases.first.epochs": 1}, "expected a number from 0 to 1"),
    ({"phases.².epochs": 1}, "found '²'; expected a number from 0 to 1"),
    ({"data.limit": 0}, "--set data.limit=0: found 0; expected a number at least 1"),
]


@pytest.mark.parametrize(("values", "told"), BAD_OVERRIDES)
def test_bad_overrides_name_themselves(values, told):
    with pytest.raises(RecipeError) as caught:
        recipe("cifar10-finetune-first", **values)
    assert told in str(caught.value)


def test_an_override_without_a_value():
    with pytest.raises(RecipeError, match="no '='"):
        parse_override("model.image_size")


@pytest.mark.parametrize("text", ["[" * 3000, "9" * 5000])
def test_a_value_that_is_too_much_for_toml_is_text(text):
    assert parse_value(text) == text


def test_a_strategy_replaces_phases_and_overrides_apply_to_it():
    changed = recipe("cifar10-finetune-first", strategy="freeze-first", **{"phases.0.epochs": 9})
    assert [phase.name for phase in changed.phases] == ["head", "fine-tune"]
    assert changed.phases[0].epochs == 9
    assert override(changed, strategy="full").phases[0].name == "all"


def test_a_recipe_s_own_version_of_a_strategy_stays(tmp_path):
    path = write(tmp_path, 'strategy = "full"\n' + GOOD)
    assert recipe(path, strategy="full").phases == recipe(path).phases
    assert recipe(path, strategy="head-only").phases[0].name == "head"


def test_overriding_leaves_the_original_alone():
    first = recipe("quickstart")
    assert override(first, **{"model.image_size": 64}).model.image_size == 64
    assert first.model.image_size == 48


def test_keys_name_every_default_once():
    rows = keys()
    dotted = [row[0] for row in rows]
    assert len(dotted) == len(set(dotted))
    assert {"model.image_size", "phases.N.optimizer.learning_rate", "augment.blur.kernel", "data.limit"} <= set(dotted)
    assert all(meaning for *_, meaning in rows)


def test_the_public_module_and_function_share_a_name():
    import kerastl

    assert kerastl.recipe("quickstart") == recipes("quickstart")
    assert isinstance(kerastl.recipe("quickstart"), Recipe)
