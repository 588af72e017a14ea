"""From a plain function to what a server is told of it, and back."""

from __future__ import annotations

import enum
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import pytest

from voicews import ConfigError, Tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def set_light(room: str, on: bool, level: float = 1.0, colour: Colour = Colour.RED) -> dict[str, Any]:
    """Switch a light on or off,
    or dim it.

    A second paragraph for programmers.

    Args:
        room: where the light is,
            such as the kitchen
        on (bool): whether it shines
        level: 0 to 1

    Returns:
        What was done.
    """
    return {"room": room, "on": on, "level": level, "colour": colour.value}


def test_hints_and_docstring_become_a_schema() -> None:
    tool = Tool.of(set_light)
    assert tool.name == "set_light"
    assert tool.description == "Switch a light on or off, or dim it."
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "room": {"type": "string", "description": "where the light is, such as the kitchen"},
            "on": {"type": "boolean", "description": "whether it shines"},
            "level": {"type": "number", "description": "0 to 1"},
            "colour": {"type": "string", "enum": ["red", "blue"]},
        },
        "required": ["room", "on"],
        "additionalProperties": False,
    }


def hinted(hint: Any) -> Callable[..., None]:
    def function(value):  # type: ignore[no-untyped-def]
        """Do it."""

    function.__annotations__ = {"value": hint}
    return function


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (int, {"type": "integer"}),
        (Any, {}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (list, {"type": "array", "items": {}}),
        (tuple[str, ...], {"type": "array", "items": {"type": "string"}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (
            tuple[str, int],
            {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "integer"}],
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[int] | str, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]}),
    ],
)
def test_each_hint_has_its_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert Tool.of(hinted(hint)).parameters["properties"]["value"] == schema


@pytest.mark.parametrize(
    "hint",
    [
        bytes,
        object,
        dict[int, str],
        [int],
        "[int]",
        "1/0",
        "no hint",
        Literal["a", 1],
        Callable[..., None],
        "Missing",
    ],
)
def test_hints_without_json_are_refused_by_name(hint: Any) -> None:
    with pytest.raises(ConfigError, match="tool function"):
        Tool.of(hinted(hint))


async def _later() -> None:
    """Do it."""


def _positional(value: int, /) -> None:
    """Do it."""


def _many(*values: int) -> None:
    """Do it."""


def _steps() -> Iterator[int]:
    """Do it."""
    yield 1


def _silent() -> None:
    return None


class House:
    """Rooms with lights."""

    def __init__(self) -> None:
        self.lit: list[str] = []

    def light(self, room: str, on: bool) -> str:
        """Switch a light."""
        self.lit += [room] if on else []
        return f"{room} {on}"

    def __call__(self, room: str) -> str:
        return self.light(room, True)

    @staticmethod
    def count(rooms: int = 1) -> int:
        """Count."""
        return rooms


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (_later, "async"),
        (_positional, "by name"),
        (_many, "by name"),
        (_steps, "generator"),
        (functools.partial(_later), "async"),
        (House.light, "House.light is a method without its object"),
        (dict.fromkeys("a").update, "does not tell its arguments"),
        (_silent, "docstring"),
        (lambda: None, "named '<lambda>'"),
        (3, "must be a function"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(function: Any, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        Tool.of(function)


def test_name_and_description_can_be_given() -> None:
    tool = Tool.of(_silent, name="be-silent", description="Say nothing.")
    assert (tool.name, tool.description) == ("be-silent", "Say nothing.")


def test_a_call_converts_what_json_cannot_say() -> None:
    result = Tool.of(set_light).call({"room": "hall", "on": True, "level": 1, "colour": "blue"})
    assert result == {"room": "hall", "on": True, "level": 1.0, "colour": "blue"}
    assert isinstance(result["level"], float)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"room": "hall"}, 'set_light\\(\\) needs "on" \\(true or false\\)'),
        ({"room": "hall", "on": True, "speed": 3}, 'does not take "speed"; it takes "room", "on", '),
        (
            {"room": "hall", "on": True, "colour": "green"},
            'set_light\\(\\): colour must be one of "red", "blue", not "green"',
        ),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        Tool.of(set_light).call(arguments)


@dataclass
class Scene:
    colour: Colour
    level: float = 1.0


class Where(TypedDict):
    room: str
    places: tuple[int, int]


def set_scene(scene: Scene, where: list[Where], for_seconds: int = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
    """Set a scene."""
    return f"{scene.colour.name} {scene.level} {[(w['room'], w['places']) for w in where]} {for_seconds}"


def test_values_within_values_are_converted() -> None:
    """The hints are strings here: this module has ``from __future__ import annotations``."""
    tool = Tool.of(set_scene)
    where = [{"room": "hall", "places": [1, 2]}]
    assert tool.call({"scene": {"colour": "blue"}, "where": where}) == "BLUE 1.0 [('hall', (1, 2))] None"
    assert tool.call({"scene": '{"colour": "red"}', "where": [], "for_seconds": None}) == "RED 1.0 [] None"
    with pytest.raises(
        ConfigError, match=r"set_scene\(\): where\[0\]\.places\[1\] must be an integer, not true"
    ):
        tool.call({"scene": {"colour": "red"}, "where": [{"room": "hall", "places": [1, True]}]})


@pytest.mark.parametrize(("given", "shines"), [("false", False), ("True", True), (False, False)])
def test_a_light_that_is_to_be_off_is_off(given: Any, shines: bool) -> None:
    assert Tool.of(set_light).call({"room": "hall", "on": given})["on"] is shines


def test_a_method_of_an_object_is_offered_without_the_object() -> None:
    house = House()
    tool = Tool.of(house.light)
    assert list(tool.parameters["properties"]) == ["room", "on"]
    assert tool.call({"room": "hall", "on": True}) == "hall True"
    assert house.lit == ["hall"]
    assert Tool.of(House.count).call({"rooms": "2"}) == 2


def test_an_object_that_can_be_called_goes_by_its_class() -> None:
    tool = Tool.of(House())
    assert (tool.name, tool.description) == ("House", "Rooms with lights.")
    assert tool.call({"room": "hall"}) == "hall True"


@pytest.mark.parametrize(
    "bound", [functools.partial(set_light, "hall"), functools.partial(set_light, room="hall")]
)
def test_what_a_partial_gives_is_neither_offered_nor_taken_from_a_server(bound: Any) -> None:
    tool = Tool.of(bound)
    assert (tool.name, tool.description) == ("set_light", "Switch a light on or off, or dim it.")
    assert list(tool.parameters["properties"]) == ["on", "level", "colour"]
    assert tool.parameters["required"] == ["on"]
    assert tool.call({"on": True})["room"] == "hall"
    with pytest.raises(ConfigError, match='does not take "room"'):
        tool.call({"on": True, "room": "vault"})


def test_a_tool_with_a_schema_of_its_own_converts_where_a_hint_says_how() -> None:
    def order(colour: Colour, raw: bytes, **more: Any) -> str:
        return f"{colour.name} {raw!r} {more}"

    tool = Tool("order", "Order.", {"type": "object"}, order)
    assert tool.call({"colour": "red", "raw": "x", "count": "3"}) == "RED 'x' {'count': '3'}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("two words", "Do it.", {}), "cannot be named 'two words'"),
        (("do", "", {}), "needs a description"),
        (("do", "Do it.", "object"), "must be a mapping"),
        (("do", "Do it.", {}, _later), "async"),
        (("do", "Do it.", {}, "do"), "must be a function, not 'do'"),
    ],
)
def test_a_tool_made_by_hand_is_checked(fields: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tool(*fields)


def test_a_tool_without_a_function_cannot_be_called() -> None:
    with pytest.raises(ConfigError, match="has no function"):
        Tool("do", "Do it.", {}).call({})


STRIPPED = """
from voicews import ConfigError, Tool

def lamp(on: bool) -> bool:
    "Switch the lamp."
    return on

assert Tool.of(lamp, description="Switch the lamp.").call({"on": "false"}) is False or 1 / 0
try:
    Tool.of(lamp)
except ConfigError as error:
    print(error)
"""


@pytest.mark.usefixtures("unmeasured")
def test_where_docstrings_are_stripped_the_message_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-OO", "-c", STRIPPED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert "which Python strips under -OO: give description=" in done.stdout


def test_a_result_that_nobody_would_run_is_an_error() -> None:
    tool = Tool.of(lambda: _later(), name="lazy", description="Do it.")
    with pytest.raises(ConfigError, match=r"lazy\(\) must return .* the coroutine _later, which nobody runs"):
        tool.call({})


def test_a_result_that_is_no_json_is_an_error() -> None:
    def now() -> Any:
        """Tell the time."""
        return object()

    with pytest.raises(ConfigError, match="what can be written as JSON"):
        Tool.of(now).call({})
