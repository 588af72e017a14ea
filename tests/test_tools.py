"""From a plain function to what a server is told of it, and back."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Literal

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
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[int] | str, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]}),
    ],
)
def test_each_hint_has_its_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert Tool.of(hinted(hint)).parameters["properties"]["value"] == schema


@pytest.mark.parametrize(
    "hint", [bytes, object, dict[int, str], Literal["a", 1], Callable[..., None], "Missing"]
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


def _silent() -> None:
    return None


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (_later, "async"),
        (_positional, "by name"),
        (_many, "by name"),
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
        ({"room": "hall"}, "missing a required argument: 'on'"),
        ({"room": "hall", "on": True, "speed": 3}, "unexpected keyword argument 'speed'"),
        ({"room": "hall", "on": True, "colour": "green"}, "must be one of 'red', 'blue'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        Tool.of(set_light).call(arguments)


def test_a_result_that_is_no_json_is_an_error() -> None:
    def now() -> Any:
        """Tell the time."""
        return object()

    with pytest.raises(ConfigError, match="no JSON"):
        Tool.of(now).call({})
