"""Recipes that Hypothesis makes up by walking the schema: a new key of a recipe is tried by itself."""

import dataclasses
import types
import typing

from hypothesis import strategies as st

from kerastl import schema

ABOUT = {"at least": ("min_value", False), "above": ("min_value", True)}
ABOUT |= {"at most": ("max_value", False), "below": ("max_value", True)}
TOML_INTEGERS = {"min_value": -(2**63), "max_value": 2**63 - 1}
NAMES = st.from_regex(r"\w[\w .+-]{0,8}", fullmatch=True)
SCALARS = st.text(max_size=8) | st.integers() | st.floats() | st.booleans() | st.datetimes() | st.dates()
# Whatever TOML can say.
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
# Whatever TOML can say and a free key brings back equal: no NaN.
PLAIN = st.dictionaries(
    st.text(max_size=8), st.text(max_size=8) | st.integers(**TOML_INTEGERS) | st.booleans(), max_size=2
)
# Values that a class checks beyond type and bounds.
NARROWER = {
    (schema.Phase, "name"): NAMES,
    (schema.Recipe, "name"): NAMES,
    (schema.Recipe, "why"): None,  # comments, which nobody reads back
}


def tables(cls, narrower=NARROWER):
    """Tables that the reader takes as `cls`: every key's type and bounds from the schema, contradictions mended.

    Args:
        cls: a dataclass of `schema`.
        narrower: strategies for some fields, by (class, name); None leaves a key out.

    Returns:
        A strategy of dicts.
    """
    hints, required, optional = typing.get_type_hints(cls), {}, {}
    for field in dataclasses.fields(cls):
        made = narrower.get((cls, field.name), values(hints[field.name], field.metadata["bounds"], narrower))
        must = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if made is not None:
            (required if must else optional)[field.name] = made
    return st.fixed_dictionaries(required, optional=optional).map(MENDED.get(cls, dict))


def values(hint, bounds, narrower=NARROWER):
    """A strategy of what the reader takes for a type hint, within bounds."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(one, bounds, narrower) for one in arguments if one is not type(None)])
    if dataclasses.is_dataclass(hint):
        return tables(hint, narrower)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        least = int(dataclasses.is_dataclass(arguments[0]))
        return st.lists(values(arguments[0], bounds, narrower), min_size=least, max_size=2)
    if origin is dict:
        held = PLAIN if arguments[1] is typing.Any else values(arguments[1], bounds, narrower)
        return st.dictionaries(st.text(max_size=8), held, max_size=3)
    limits = {ABOUT[word][0]: limit for word, limit in bounds.items()}
    if hint is int:
        return st.integers(**{**TOML_INTEGERS, **limits})
    if hint is float:
        open_ends = {f"exclude_{ABOUT[word][0][:3]}": True for word in bounds if ABOUT[word][1]}
        return st.floats(**limits, **open_ends, allow_nan=False, allow_infinity=False)
    return {bool: st.booleans(), str: st.text(max_size=8)}[hint]


def places(cls, table, path=()):
    """Every key that the schema knows in a table, down to the nested ones: pairs of a path and a dataclass field."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.name in table:
            value, here = table[field.name], (*path, field.name)
            yield here, field
            for inner in filter(dataclasses.is_dataclass, (hints[field.name], *typing.get_args(hints[field.name]))):
                listed = enumerate(value) if isinstance(value, list) else ()
                for way, one in [(here, value), *(((*here, str(place)), one) for place, one in listed)]:
                    yield from places(inner, one, way) if isinstance(one, dict) else ()


def _without(table, *names):
    return {name: value for name, value in table.items() if name not in names}


def _three(table):
    return {name: ((value or [0.5]) * 3)[:3] for name, value in table.items()}


def _least_and_largest(table):
    return {**table, "area": sorted(((table.get("area") or [0.5]) * 2)[:2])}


def _dropout_for_each(table):
    rates, layers = table.get("dropout"), len(table.get("widths", ())) + 1
    return {**table, "dropout": ((rates or [0.0]) * layers)[:layers]} if isinstance(rates, list) else table


def _momentum_where_it_is(table):
    kept = {"sgd": (), "rmsprop": ("nesterov",)}.get(table.get("name"), ("nesterov", "momentum"))
    return _without(table, *kept)


def _warmup_where_it_is(table):
    return table if table.get("name") in ("cosine", "one-cycle") else _without(table, "warmup")


def _steps_or_solved(table):
    if table.get("solve"):
        return {name: it for name, it in table.items() if name in ("name", "solve", "image_size")} | {
            "trainable": "head"
        }
    made = {"epochs": 1, "optimizer": {"learning_rate": 0.1}, **table}
    return _rates_of_its_groups(made)


def _rates_of_its_groups(table):
    named, rates = table.get("trainable", "all"), table["optimizer"]["learning_rate"]
    table = _without(table, "trainable") if named == [] else table
    wanted = {"head": ["head"]}.get(named, named) if isinstance(named, str) else named
    if isinstance(rates, dict) and isinstance(wanted, list):
        rate = next(iter(rates.values()), 0.1)
        table = {**table, "optimizer": {**table["optimizer"], "learning_rate": dict.fromkeys(wanted or ["a"], rate)}}
    return table


def _phases_told_apart(table):
    phases = [{**phase, "name": f"{phase['name']}-{i}"} for i, phase in enumerate(table["phases"])]
    chooses = any(
        "early_stopping" in phase or phase.get("keep_best") or phase.get("only_if_better") for phase in phases
    )
    in_vain = chooses and not table["data"].get("validation", 1)
    return {**table, "phases": phases, "data": _without(table["data"], "validation") if in_vain else table["data"]}


MENDED = {
    schema.Normalize: _three,
    schema.Erasing: _least_and_largest,
    schema.HeadSpec: _dropout_for_each,
    schema.OptimizerSpec: _momentum_where_it_is,
    schema.ScheduleSpec: _warmup_where_it_is,
    schema.Phase: _steps_or_solved,
    schema.Recipe: _phases_told_apart,
}
