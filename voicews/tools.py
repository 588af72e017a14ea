"""Functions that a server may call, and what it is told of them."""

from __future__ import annotations

import enum
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voicews.errors import ConfigError

__all__ = ["Tool"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_PLAIN: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Example|Examples|Note):\s*$")
_ARGUMENT = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.+)$")


@dataclass(frozen=True)
class Tool:
    """A function's name, purpose and arguments."""

    name: str
    """Letters, digits, ``_`` and ``-``, at most 64: what all services accept."""
    description: str
    """What it is for, in words that a language model understands."""
    parameters: Mapping[str, Any]
    """JSON Schema of an object: the arguments by name."""
    function: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    """What is called with the arguments by name; None if you answer :class:`ToolCall` yourself."""

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, name: str | None = None, description: str | None = None
    ) -> Tool:
        """Describe a plain function by its type hints and docstring.

        Known hints are str, int, float, bool, None, Any, Literal, an Enum of strings or
        numbers, list, tuple and set of one kind, dict with str keys, unions of these, and none at
        all.  The docstring's first paragraph is the description; its ``Args:`` section describes the
        arguments (Google's style).

        Raises:
            ConfigError: a hint is unknown, an argument cannot be given by name, there is no
                description, or it is an async function.
        """
        name = name or str(getattr(function, "__name__", ""))
        if not callable(function):
            raise ConfigError(f"a tool must be a function, not {function!r}")
        if inspect.iscoroutinefunction(function):
            raise ConfigError(f"the tool {name} is an async function; voicews calls plain functions")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"a tool cannot be named {name!r}; use letters, digits, _ and -, at most 64")
        summary, arguments = _read_docstring(inspect.getdoc(function) or "")
        description = description or summary
        if not description:
            raise ConfigError(f"the tool {name} needs a docstring: it tells the server what it is for")
        return cls(name, description, _schema_of(function, name, arguments), function)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call the function with what the server gave.

        Returns:
            Its result, which can be written as JSON.

        Raises:
            ConfigError: the arguments do not fit, or the result is no JSON.
            Exception: whatever the function raises.
        """
        assert self.function is not None
        try:
            bound = inspect.signature(self.function).bind(**arguments)
        except TypeError as error:
            raise ConfigError(f"{self.name}() was called wrongly: {error}") from error
        hints = typing.get_type_hints(self.function)
        for key, value in bound.arguments.items():
            bound.arguments[key] = _converted(hints.get(key), value, f"{self.name}() argument {key}")
        result = self.function(*bound.args, **bound.kwargs)
        try:
            json.dumps(result, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"{self.name}() returned what is no JSON: {error}") from error
        return result


def _converted(hint: Any, value: Any, what: str) -> Any:
    """JSON has no enums, and writes 2.0 as 2."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError:
            allowed = ", ".join(repr(member.value) for member in hint)
            raise ConfigError(f"{what} is {value!r}; it must be one of {allowed}") from None
    return float(value) if hint is float and type(value) is int else value


def _schema_of(function: Callable[..., Any], name: str, described: Mapping[str, str]) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError, NameError) as error:
        raise ConfigError(f"the hints of the tool {name} cannot be read: {error}") from error
    properties: dict[str, Any] = {}
    required = []
    for key, parameter in parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f"the argument {parameter} of the tool {name} cannot be given by name")
        schema = _schema(hints.get(key, Any), f"the argument {key} of the tool {name}")
        if key in described:
            schema = {**schema, "description": described[key]}
        properties[key] = schema
        if parameter.default is parameter.empty:
            required.append(key)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _schema(hint: Any, what: str) -> dict[str, Any]:
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice([member.value for member in hint], what)
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is Literal:
        return _choice(list(inner), what)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(part, what) for part in inner]}
    if origin in (list, set, frozenset) or (origin is tuple and inner[1:] == (...,)):
        return {"type": "array", "items": _schema(inner[0] if inner else Any, what)}
    if origin is dict and (not inner or inner[0] is str):
        return {"type": "object", "additionalProperties": _schema(inner[1] if inner else Any, what)}
    raise ConfigError(
        f"{what} has the hint {hint!r}, for which there is no JSON; use str, int, float, bool …"
    )


def _choice(values: list[Any], what: str) -> dict[str, Any]:
    kinds = {_PLAIN.get(type(value)) for value in values}
    if None in kinds or len(kinds) != 1:
        raise ConfigError(f"{what} offers {values!r}; the choices must be of one kind: texts, or numbers")
    return {"type": kinds.pop(), "enum": values}


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, and what the ``Args:`` section says of each argument."""
    summary = " ".join(text.split("\n\n", 1)[0].split())
    arguments: dict[str, str] = {}
    section = key = ""
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section, key = found[1], ""
        elif section in ("Args", "Arguments", "Parameters") and line.strip():
            indented = line.startswith((" " * 5, "\t\t"))
            if not indented and (found := _ARGUMENT.match(line.strip())):
                key = found[1]
                arguments[key] = found[2]
            elif key:
                arguments[key] += " " + line.strip()
    return summary, arguments
