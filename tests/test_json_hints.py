"""A hint's schema and what is taken for it agree, for every hint and every value."""

from __future__ import annotations

import enum
import json
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, Required, TypedDict, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.errors import ConfigError
from voicews.json_hints import Form, Misfit, form_of, object_form


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Gain(enum.Enum):
    HALF = 0.5
    ONE = 1


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


@dataclass
class Lamp:
    room: str
    colour: Colour = Colour.RED
    places: list[Point] = field(default_factory=list)
    near: Point | None = None

    def __post_init__(self) -> None:
        if self.room == "moon":
            raise ValueError("there is no lamp on the moon")


class Order(TypedDict):
    item: str
    count: NotRequired[int]


class Partial(TypedDict, total=False):
    colour: Required[Colour]
    note: Annotated[str, "free text"]


class Tree(TypedDict):
    children: list[Tree]


@dataclass
class Hidden:
    secret: bytes


Room = NewType("Room", str)


def fits(schema: Mapping[str, Any], value: Any) -> bool:
    """JSON Schema (2020-12), as far as our schemas use it."""
    known = {"type", "enum", "anyOf", "items", "prefixItems", "minItems", "maxItems"}
    assert set(schema) <= known | {"properties", "required", "additionalProperties"}
    if "anyOf" in schema:
        return any(fits(part, value) for part in schema["anyOf"])
    kinds: Mapping[str, Callable[[], bool]] = {
        "string": lambda: isinstance(value, str),
        "boolean": lambda: isinstance(value, bool),
        "null": lambda: value is None,
        "number": lambda: isinstance(value, int | float) and not isinstance(value, bool),
        "integer": lambda: kinds["number"]() and value == math.floor(value),
        "array": lambda: isinstance(value, list),
        "object": lambda: isinstance(value, dict),
    }
    if "type" in schema and not kinds[schema["type"]]():
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, list) and schema.get("type") == "array":
        first = schema.get("prefixItems", [])
        return (
            schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
            and all(fits(part, item) for part, item in zip(first, value, strict=False))
            and all(fits(schema["items"], item) for item in value[len(first) :])
        )
    if isinstance(value, dict) and schema.get("type") == "object":
        named, other = schema.get("properties", {}), schema["additionalProperties"]
        return set(schema.get("required", [])) <= set(value) and all(
            fits(named[key], item) if key in named else other is not False and fits(other or {}, item)
            for key, item in value.items()
        )
    return True


def has_type(hint: Any, value: Any) -> bool:
    """Whether a value is what its hint says; written without a look at the code under test."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if isinstance(hint, typing.NewType):
        return has_type(hint.__supertype__, value)
    if origin is Annotated:
        return has_type(inner[0], value)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner)
    if origin is Union or type(hint).__name__ == "UnionType":
        return any(has_type(part, value) for part in inner)
    if origin is tuple and inner[1:] != (...,):
        return type(value) is tuple and len(value) == len(inner) and all(map(has_type, inner, value))
    if origin in (list, tuple, set, frozenset):
        return type(value) is origin and all(has_type(inner[0], item) for item in value)
    if origin is dict:
        return type(value) is dict and all(has_type(inner[1], item) for item in value.values())
    if hint in (Point, Lamp):
        hints = typing.get_type_hints(hint)
        return type(value) is hint and all(has_type(hints[name], getattr(value, name)) for name in hints)
    if hint in (Order, Partial):
        named = {"item": str, "count": int, "colour": Colour, "note": str}
        return type(value) is dict and all(has_type(named[key], item) for key, item in value.items())
    return type(value) is hint


LEAVES: list[Any] = [str, int, float, bool, None, Colour, Level, Gain, Point, Room, Lamp, Order, Partial]
LEAVES += [Literal["a", "b"], Literal[1, 2], Literal[True], Literal[Colour.RED], Annotated[int, "count"]]
KEYS: list[Any] = [str, int, bool, Colour, Point, Literal[1, 2], Room, None]
HINTS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(lambda part: list[part], inner),  # type: ignore[valid-type]
        st.builds(lambda part: tuple[part, ...], inner),  # type: ignore[valid-type]
        st.builds(lambda one, two: tuple[one, two], inner, inner),  # type: ignore[valid-type]
        st.builds(lambda part: dict[str, part], inner),  # type: ignore[valid-type]
        st.builds(lambda one, two: Union[one, two], inner, inner),  # noqa: UP007
        st.builds(lambda part: Optional[part], inner),  # noqa: UP045
        st.sampled_from([of[part] for of in (set, frozenset) for part in KEYS]),
    ),
    max_leaves=4,
)
NUMBERS = st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.sampled_from(
    ["red", "green", "a", "false", "True", "3", "2.5", "null", "[1]", '{"x": 1}', "moon", ""]
)
NAMES = st.sampled_from(["x", "y", "room", "colour", "places", "near", "item", "count", "note", "children"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def of_schema(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema allows."""
    if "anyOf" in schema:
        return st.one_of([of_schema(part) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "array" if "prefixItems" in schema:
            return st.tuples(*map(of_schema, schema["prefixItems"])).map(list)
        case "array":
            return st.lists(of_schema(schema["items"]), max_size=3)
        case "object" if "properties" in schema:
            members = {key: of_schema(part) for key, part in schema["properties"].items()}
            needed = {key: members.pop(key) for key in schema["required"]}
            return st.fixed_dictionaries(needed, optional=members)
        case "object":
            return st.dictionaries(TEXTS, of_schema(schema["additionalProperties"]), max_size=3)
        case kind:
            plain = {"string": TEXTS, "integer": st.integers(), "number": NUMBERS, "boolean": st.booleans()}
            return plain.get(kind, st.none())


def on_the_moon(value: Any) -> bool:
    """What a schema cannot say: a Lamp refuses that room itself."""
    return "moon" in json.dumps(value)


@given(st.data(), HINTS)
def test_what_the_schema_allows_is_taken_and_has_the_type_of_the_hint(data: st.DataObject, hint: Any) -> None:
    form = form_of(hint, "it")
    json.dumps(form.schema)
    value = data.draw(of_schema(form.schema))
    assert fits(form.schema, value)
    if not on_the_moon(value):
        assert has_type(hint, form.take(value, "it"))


@given(HINTS, VALUES)
def test_what_is_taken_has_the_type_and_what_is_refused_was_not_allowed(hint: Any, value: Any) -> None:
    form = form_of(hint, "it")
    try:
        taken = form.take(value, "it")
    except Misfit:
        assert on_the_moon(value) or not fits(form.schema, value)
    else:
        assert has_type(hint, taken)


@given(HINTS, VALUES)
def test_without_reading_texts_the_schema_alone_decides(hint: Any, value: Any) -> None:
    form = form_of(hint, "it")
    try:
        form.take(value, "it", texts=False)
    except Misfit:
        assert on_the_moon(value) or not fits(form.schema, value)
    else:
        assert fits(form.schema, value)


@pytest.mark.parametrize(
    ("hint", "value", "taken"),
    [
        (bool, "false", False),
        (bool, " True ", True),
        (int, "3", 3),
        (int, 2.0, 2),
        (float, "2.5", 2.5),
        (float, 2, 2.0),
        (int | str, "3", "3"),
        (int | None, "3", 3),
        (int | None, "null", None),
        (str | None, "null", "null"),
        (list[int], "[1, 2]", [1, 2]),
        (list[bool], ["false", True], [False, True]),
        (dict[str, bool], {"on": "false"}, {"on": False}),
        (Level, "2", Level.HIGH),
        (Gain, 1.0, Gain.ONE),
        (Optional[Colour], "red", Colour.RED),  # noqa: UP045
        (frozenset[Colour], ["red", "red"], frozenset({Colour.RED})),
        (set, [1, "a"], {1, "a"}),
        (tuple, [1, [2]], (1, [2])),
        (tuple[()], [], ()),
        (tuple[int, Colour], [1, "blue"], (1, Colour.BLUE)),
        (Point, '{"x": "1"}', Point(1)),
        (Lamp, {"room": "hall", "near": {"x": 1}}, Lamp("hall", near=Point(1))),
        (set[Point], [{"x": 1}], {Point(1)}),
        (Partial, {"colour": "red"}, {"colour": Colour.RED}),
    ],
)
def test_values_are_converted(hint: Any, value: Any, taken: Any) -> None:
    made = form_of(hint, "it").take(value, "it")
    assert made == taken
    assert type(made) is type(taken)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (bool, "off", 'it must be true or false, not "off"'),
        (bool, 0, "it must be true or false, not 0"),
        (int, True, "it must be an integer, not true"),
        (int, 2.5, "it must be an integer, not 2.5"),
        (int, "3.5", 'it must be an integer, not "3.5"'),
        (float, float("nan"), "it must be a number, not NaN"),
        (float, float("inf"), "it must be a number, not Infinity"),
        (float, 10**400, "it must be a number, not 1000"),
        (str, 3, "it must be a string, not 3"),
        (Literal[1, 2], True, "it must be one of 1, 2, not true"),
        (Literal[1, 2], [], "it must be one of 1, 2, not []"),
        (Colour, None, 'it must be one of "red", "blue", not null'),
        (int | None, "x", 'it must be an integer or null, not "x"'),
        (list[Colour] | None, ["red", "green"], 'it[1] must be one of "red", "blue", not "green"'),
        (list[list[int]], [[1], ["x"]], 'it[1][0] must be an integer, not "x"'),
        (tuple[int, str], [1], "it must be a list of 2 (an integer, a string), not [1]"),
        (dict[str, int], {"a b": "x"}, 'it["a b"] must be an integer, not "x"'),
        (dict[str, int], [1], "it must be an object, not [1]"),
        (Lamp, {}, 'it needs "room" (a string)'),
        (Lamp, {"room": "hall", "near": {}}, 'it.near needs "x" (an integer)'),
        (Lamp, {"room": "hall", "x": 1}, 'it does not take "x"; it takes "room", "colour", "places", "near"'),
        (Lamp, {"room": "hall", "places": [{"x": None}]}, "it.places[0].x must be an integer, not null"),
        (Lamp, {"room": "moon"}, "it is refused: there is no lamp on the moon"),
        (Order, {"item": "tea", "count": "many"}, 'it.count must be an integer, not "many"'),
        (Partial, {"note": "x"}, 'it needs "colour" (one of "red", "blue")'),
        (str, "\u202e\x1b[2J" * 50, None),
        (int, "\u202e\x1b[2J\ud800" * 50, "it must be an integer, not "),
    ],
)
def test_a_misfit_says_where_and_what_would_fit(hint: Any, value: Any, message: str | None) -> None:
    form = form_of(hint, "it")
    if message is None:
        assert form.take(value, "it") == value
        return
    with pytest.raises(Misfit) as caught:
        form.take(value, "it")
    text = str(caught.value)
    assert text == message or (text.startswith(message) and text.endswith("…"))
    assert text.encode().decode().isprintable()
    assert len(text) < 200


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        ([int], r"has the hint \[int\]"),
        ({"a": int}, "has the hint"),
        ((int, str), "has the hint"),
        (3, "has the hint 3"),
        (bytes, "has the hint bytes"),
        (list[bytes], "has the hint bytes"),
        (dict[int, str], r"has the hint dict\[int, str\]"),
        (Callable[..., None], "has the hint"),
        (set[list[int]], "a set cannot hold"),
        (set[Lamp], "a set cannot hold"),
        (frozenset[int | dict[str, int]], "a set cannot hold"),
        (Literal["a", 1], "choices of these types: int, str"),
        (enum.Enum("Empty", []), "choices of these types: none"),
        (enum.Enum("Odd", {"A": (1, 2)}), "choices of these types: tuple"),
        (Tree, "refers to Tree within itself"),
        (Hidden, r"the field secret of Hidden, in it, has the hint bytes"),
    ],
)
def test_what_json_cannot_say_is_refused(hint: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        form_of(hint, "it")


def test_a_class_that_cannot_be_read_is_refused() -> None:
    @dataclass
    class Local:
        other: Elsewhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigError, match="name 'Elsewhere' is not defined"):
        form_of(Local, "it")


def test_other_members_are_passed_on_where_they_are_allowed() -> None:
    form: Form = object_form({"a": form_of(int, "it")}, ["a"], dict, extra=True)
    assert form.take({"a": "1", "b": "2"}, "f(): ") == {"a": 1, "b": "2"}
    assert form.schema["additionalProperties"] is True
