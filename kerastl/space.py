"""What a sweep tries: values or ranges for keys of a recipe, checked before anything trains. Keras is not imported."""

import itertools
import json
import math
import random
import re
from dataclasses import dataclass, replace

from kerastl import strict
from kerastl.errors import BrokenRun, RecipeError
from kerastl.recipe import override, parse_value

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER})\.\.({NUMBER})(:log)?")
MOST_DRAWS = 100_000  # until one is new
TRIALS = 30  # of a search that names no number


@dataclass(frozen=True)
class Range:
    """All numbers from one to another.

    Args:
        low, high: both are included; only whole numbers are tried where both are `int`.
        log: each factor is as likely as any other, not each difference.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self):
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __str__(self):
        return f"{self.low}..{self.high}" + ":log" * self.log


@dataclass(frozen=True)
class Space:
    """What is tried.

    Args:
        keys: from dotted key to its values (JSON texts), or a `Range`.
        places: what is tried in each place of the result: a whole setting in a grid, {} where the sampler draws it.
    """

    keys: dict[str, tuple[str, ...] | Range]
    places: tuple[dict, ...]

    @property
    def about(self):
        """As a table of plain values."""
        tried = {key: str(it) if isinstance(it, Range) else list(it) for key, it in self.keys.items()}
        return {"tried": tried, "trials": len(self.places)}

    def setting(self, parameters):
        """The overrides that stand behind what Optuna knows of a trial, in the order of the keys."""
        for key, it in self.keys.items():
            if key in parameters and not _holds(it, found := parameters[key]):
                expected = str(it) if isinstance(it, Range) else "one of its values"
                raise BrokenRun(
                    f"{key}: found {str(found)[:60]!r} in the database of the sweep; expected {expected}. Begin anew (--out NEW)"
                )
        return {
            key: parameters[key] if isinstance(it, Range) else json.loads(parameters[key])
            for key, it in self.keys.items()
            if key in parameters
        }

    def untried(self, tried, seed):
        """A setting that was not tried yet, by chance; there is one, as `make_space` saw to it."""
        draw = random.Random(seed)
        for _ in range(MOST_DRAWS):
            found = {
                key: draw.randint(it.low, it.high) if isinstance(it, Range) else draw.choice(it)
                for key, it in self.keys.items()
            }
            if found not in tried:
                return found
        raise BrokenRun(
            "the database of the sweep holds settings that were not drawn from this space. Begin anew (--out NEW)"
        )


def _holds(tried, value):
    if not isinstance(tried, Range):
        return value in tried
    return isinstance(value, int | float) and tried.low <= value <= tried.high


def make_space(spec, over=None, search=None, trials=None):
    """What a sweep tries, after each value and each corner of the ranges has been tried on the recipe.

    Args:
        spec: a `Recipe`.
        over: a dict from dotted key to the values of a grid.
        search: a dict from dotted key to "LOW..HIGH", "LOW..HIGH:log" or a list of values, to draw from.
        trials: how many settings a search draws.

    Returns:
        A `Space`.

    Raises:
        RecipeError: nothing to try, or something that the recipe does not take.

    Example:
        >>> from kerastl.recipe import recipe
        >>> make_space(recipe("quickstart"), search={"model.head.dropout": "0..0.5"}, trials=8).about
        {'tried': {'model.head.dropout': '0.0..0.5'}, 'trials': 8}
    """
    if over and search:
        raise RecipeError("found --over and --search; expected one of them: --search KEY=A,B,C tries values as well")
    asked = over or search
    if not asked or not all(asked.values()):
        raise RecipeError("nothing to sweep over; expected --over KEY=VALUE,VALUE,... or --search KEY=LOW..HIGH")
    if trials is not None and (over or trials < 1):
        raise RecipeError(f"--trials {trials}: expected a number above 0, and --search: a grid tries all there is")
    asked = {key: _asked(key, it) for key, it in asked.items()}
    asked = {key: _typed(spec, key, it) if isinstance(it, Range) else it for key, it in asked.items()}
    for corner in _settings({key: (it.low, it.high) if isinstance(it, Range) else it for key, it in asked.items()}):
        _check(spec, corner)
    keys = {
        key: it if isinstance(it, Range) else tuple(dict.fromkeys(map(json.dumps, it))) for key, it in asked.items()
    }
    if over:
        return Space(keys, tuple(_settings(keys)))
    trials = trials or TRIALS
    if trials > (there := _size(keys)):
        raise RecipeError(
            f"--trials {trials}: there are only {there} settings; expected at most as many, or a grid (--over)"
        )
    return Space(keys, ({},) * trials)


def parse_over(text):
    """`KEY=1,3,6` as the key and its values."""
    dotted, equals, values = text.partition("=")
    if not equals or not values:
        raise RecipeError(f"--over {text}: expected KEY=VALUE,VALUE,...")
    return dotted.strip(), _values(values)


def parse_search(text):
    """`KEY=LOW..HIGH`, `KEY=LOW..HIGH:log` or `KEY=A,B,C` as the key and what to draw from.

    Example:
        >>> parse_search("train.batch_size=16..256:log")
        ('train.batch_size', Range(low=16, high=256, log=True))
    """
    dotted, equals, drawn = text.partition("=")
    if not equals or not drawn:
        raise RecipeError(f"--search {text}: expected KEY=LOW..HIGH, KEY=LOW..HIGH:log or KEY=VALUE,VALUE,...")
    return dotted.strip(), _asked(dotted.strip(), drawn.strip())


def _asked(key, it):
    """A `Range`, or values."""
    if not isinstance(it, str):
        return it
    found = RANGE.fullmatch(it)
    if not found:
        return _values(it)
    low, high = (int(bound) if bound.lstrip("+-").isdecimal() else float(bound) for bound in found.group(1, 2))
    log = bool(found[3])
    if low >= high or (log and low <= 0):
        raise RecipeError(f"--search {key}={it}: expected the lower bound first" + ", and above 0 for :log" * log)
    return Range(low, high, log)


def _values(text):
    """Values between commas; those within brackets and quotes belong together.

    Example:
        >>> _values('head,["stem","head"],{last_layers = 3}')
        ['head', ['stem', 'head'], {'last_layers': 3}]
    """
    values, depth, quoted = [""], 0, None
    for letter in text:
        if letter in "\"'" and quoted in (None, letter):
            quoted = None if quoted else letter
        elif not quoted:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0 and not quoted:
            values.append("")
        else:
            values[-1] += letter
    return [parse_value(value) for value in values]


def _typed(spec, key, it):
    """The range in the type that the key has in a recipe."""
    table = strict.dump(_check(spec, {key: it.low}))
    for step in key.split("."):
        table = table[int(step)] if isinstance(table, list) else table[step]
    return replace(it, low=type(table)(it.low), high=type(table)(it.high)) if isinstance(table, float) else it


def _settings(keys):
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*keys.values())]


def _check(spec, setting):
    candidate = override(spec, **setting)
    if not candidate.data.validation:
        raise RecipeError(
            f"recipe {spec.name}: data.validation is 0; a sweep chooses on validation images, expected a share above 0"
        )
    return candidate


def _size(keys):
    """How many settings there are."""
    sizes = [
        len(it) if not isinstance(it, Range) else it.high - it.low + 1 if it.whole else math.inf for it in keys.values()
    ]
    return math.prod(sizes)
