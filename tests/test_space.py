"""What a sweep tries: how it is written, and what a recipe does not take."""

import pytest

from kerastl.errors import BrokenRun, RecipeError
from kerastl.space import Range, Space, make_space, parse_over, parse_search

RATE, SIZE, DROPOUT = "phases.0.optimizer.learning_rate", "train.batch_size", "model.head.dropout"


def test_how_it_is_written():
    assert parse_over("augment.flip=none, both") == ("augment.flip", ["none", "both"])
    assert parse_search(f"{RATE}=1e-5..1e-2:log") == (RATE, Range(1e-5, 1e-2, log=True))
    assert parse_search(f"{SIZE} = 16..64") == (SIZE, Range(16, 64))
    assert parse_search("model.weights=../a.h5,../b.h5") == ("model.weights", ["../a.h5", "../b.h5"])


def test_a_grid_is_every_combination_once(tiny):
    space = make_space(tiny(), over={SIZE: [16, 32, 16], "augment.flip": ["none", "both"]})
    settings = [space.setting(place) for place in space.places]
    assert settings == [{SIZE: size, "augment.flip": flip} for size in (16, 32) for flip in ("none", "both")]


def test_numbers_are_whole_where_the_recipe_wants_them_whole(tiny):
    keys = make_space(tiny(), search={SIZE: "16..64", DROPOUT: "0..0.5", RATE: "1e-5..1:log"}, trials=7).keys
    assert [it.whole for it in keys.values()] == [True, False, False]
    assert type(keys[DROPOUT].low) is float


WRONG = [
    ({}, "nothing to sweep over; expected --over KEY=VALUE,VALUE,... or --search KEY=LOW..HIGH"),
    ({"over": {SIZE: []}}, "nothing to sweep over"),
    ({"over": {SIZE: [1]}, "search": {SIZE: "1..2"}}, "found --over and --search; expected one of them"),
    ({"over": {SIZE: [1, 0]}}, f"--set {SIZE}=0: found 0; expected a number at least 1"),
    ({"over": {"train.batch_sise": [1]}}, "did you mean 'batch_size'?"),
    ({"over": {SIZE: [1]}, "trials": 3}, "--trials 3: expected a number above 0, and --search"),
    ({"search": {SIZE: "1..9"}, "trials": 0}, "--trials 0: expected a number above 0"),
    ({"search": {SIZE: "1..6"}, "trials": 7}, "--trials 7: there are only 6 settings"),
    ({"search": {SIZE: "1..2.5"}}, f"--set {SIZE}=2.5: found 2.5; expected a whole number"),
    ({"search": {DROPOUT: "0..1"}}, f"--set {DROPOUT}=1.0: found 1.0; expected a number below 1"),
    ({"search": {SIZE: "6..1"}}, f"--search {SIZE}=6..1: expected the lower bound first"),
    ({"search": {DROPOUT: "0..0.5:log"}}, "expected the lower bound first, and above 0 for :log"),
    ({"over": {"data.validation": [0.1, 0]}}, "data.validation is 0; a sweep chooses on validation images"),
    (
        {"search": {"phases.0.optimizer.name": ["sgd", "adam"], "phases.0.optimizer.momentum": "0..0.9"}},
        "momentum: only sgd and rmsprop have it, found name = 'adam'",
    ),
]


@pytest.mark.parametrize(("asked", "told"), WRONG, ids=[told for _, told in WRONG])
def test_what_the_recipe_does_not_take_is_told_before_anything_trains(tiny, asked, told):
    with pytest.raises(RecipeError) as error:
        make_space(tiny(), **asked)
    assert told in str(error.value)


@pytest.mark.parametrize(("parse", "text"), [(parse_over, "a"), (parse_over, "a="), (parse_search, "a")])
def test_a_key_without_values(parse, text):
    with pytest.raises(RecipeError, match=f"{text}: expected KEY="):
        parse(text)


def test_a_setting_that_was_not_tried_is_found(tiny):
    space = make_space(tiny(), search={SIZE: "1..3", "augment.flip": ["none", "both"]}, trials=6)
    tried = []
    for seed in range(6):
        tried.append(space.untried(tried, seed))
    assert len({tuple(it.values()) for it in tried}) == 6


@pytest.mark.parametrize("found", [{"x": '"c"'}, {"y": 5.0}, {"y": "1"}])
def test_what_was_never_tried_is_not_a_setting(found):
    space = Space({"x": ('"a"', '"b"'), "y": Range(0.0, 1.0)}, ({},))
    with pytest.raises(BrokenRun, match=r"[xy]: found '.*' in the database of the sweep; expected"):
        space.setting(found)


def test_where_all_was_tried_nothing_is_drawn():
    space = Space({"x": ('"a"',)}, ({},))
    with pytest.raises(BrokenRun, match="settings that were not drawn from this space"):
        space.untried([{"x": '"a"'}], 0)
