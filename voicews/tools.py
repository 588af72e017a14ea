"""Functions that a server may call, and what it is told of them."""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicews.callables import refuse_unrun, require_plain, safe_repr, signature_of, unwrapped
from voicews.errors import ConfigError
from voicews.json_hints import ANYTHING, Form, form_of, hints_of, object_form, or_null

__all__ = ["Tool"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Example|Examples|Note):\s*$")
_ARGUMENT = re.compile(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.+)$")


@dataclass(frozen=True)
class Tool:
    """A function's name, purpose and arguments.

    Raises:
        ConfigError: a field is wrong, or the function would not run when it is called.
    """

    name: str
    """Letters, digits, ``_`` and ``-``, at most 64: what all services accept."""
    description: str
    """What it is for, in words that a language model understands."""
    parameters: Mapping[str, Any]
    """JSON Schema of an object: the arguments by name."""
    function: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    """What is called with the arguments by name; None if you answer :class:`ToolCall` yourself."""

    def __post_init__(self) -> None:
        _require_name(self.name)
        if not isinstance(self.description, str) or not self.description.strip():
            raise ConfigError(f"the tool {self.name} needs a description: it tells the server what it is for")
        if not isinstance(self.parameters, Mapping):
            raise ConfigError(f"the parameters of the tool {self.name} must be a mapping, a JSON Schema")
        if self.function is not None:
            _require_function(self.function)

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, name: str | None = None, description: str | None = None
    ) -> Tool:
        """Describe a plain function by its type hints and docstring.

        Known hints are str, int, float, bool, None, Any, Literal, an Enum of strings or
        numbers, list, tuple, set and frozenset, dict with str keys, a dataclass, a TypedDict, unions of
        these, and none at all.  The docstring's first paragraph is the description; its ``Args:`` section
        describes the arguments (Google's style).  Arguments that a :func:`functools.partial` gives already
        are not offered.

        Raises:
            ConfigError: a hint is unknown, an argument cannot be given by name, there is no
                description, or it is an async function, a generator, or a method without its object.
        """
        _require_function(function)
        inner = unwrapped(function)
        if name is None:
            name = getattr(inner, "__name__", None) or type(inner).__name__
        _require_name(name)
        summary, described = _read_docstring(_docstring(inner))
        if not (description or summary):
            stripped = ", which Python strips under -OO: give description=…" if sys.flags.optimize > 1 else ""
            raise ConfigError(
                f"the tool {name} needs a docstring{stripped}; it tells the server what the tool is for"
            )
        schema = _arguments_of(function, f"the tool {name}", exact=True).schema
        for key, text in described.items():
            if key in schema["properties"]:
                schema["properties"][key] = {**schema["properties"][key], "description": text}
        return cls(name, description or summary, schema, function)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call the function with what the server gave, converted to what its hints say.

        Returns:
            Its result, which can be written as JSON.

        Raises:
            ConfigError: the arguments do not fit (the message tells the server what would), or the result
                cannot be written as JSON, or there is no function.
            Exception: whatever the function raises.
        """
        if self.function is None:
            raise ConfigError(f"the tool {self.name} has no function")
        given = _arguments_of(self.function, self.name, exact=False).take(arguments, f"{self.name}(): ")
        result = self.function(**given)
        try:
            refuse_unrun(result)
            json.dumps(result, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"{self.name}() must return what can be written as JSON: {error}") from error
        return result


def _require_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"a tool cannot be named {safe_repr(name)}; use letters, digits, _ and -, at most 64: "
            'give it another name with name="…"'
        )


def _require_function(function: Any) -> None:
    if not callable(function):
        raise ConfigError(f"a tool must be a function, not {safe_repr(function)}")
    require_plain("the tool", function)


def _docstring(inner: Any) -> str:
    """Of a function, or of an object that can be called: what is said of the call, else of its class."""
    if not inspect.isroutine(inner) and not isinstance(inner, type):
        inner = next((it for it in (type(inner).__call__, type(inner)) if it.__doc__), inner)
    return inspect.getdoc(inner) or ""


def _arguments_of(function: Callable[..., Any], what: str, *, exact: bool) -> Form:
    """The arguments that a server may give, as an object.

    Args:
        function: its hints decide.
        what: names it in errors.
        exact: refuse what cannot be described; else, for a tool with a schema of its own, pass it on.

    Raises:
        ConfigError: see :meth:`Tool.of`.
    """
    signature = signature_of(what, function)
    if signature is None:
        if exact:
            raise ConfigError(f"{what} does not tell its arguments; wrap it in a function of your own")
        return object_form({}, (), dict, extra=True)
    inner = unwrapped(function)
    owner = inner if inspect.isroutine(inner) or isinstance(inner, type) else unwrapped(type(inner).__call__)
    try:
        hints = hints_of(owner, what)
    except ConfigError:
        if exact:
            raise
        hints = {}
    members: dict[str, Form] = {}
    required, extra = [], False
    for key, parameter in signature.parameters.items():
        if key in _given_by_partials(function):
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            if exact:
                raise ConfigError(f"the argument {key} of {what} cannot be given by name")
            extra |= parameter.kind is parameter.VAR_KEYWORD
            continue
        try:
            form = form_of(hints.get(key, Any), f"the argument {key} of {what}")
            members[key] = or_null(form) if parameter.default is None else form
        except ConfigError:
            if exact:
                raise
            members[key] = ANYTHING
        if parameter.default is parameter.empty:
            required.append(key)
    return object_form(members, required, dict, extra=extra)


def _given_by_partials(function: Any) -> set[str]:
    """Names of arguments; with a partial's values they are settled, and no server may overrule them."""
    names: set[str] = set()
    while isinstance(function, functools.partial):
        names |= function.keywords.keys()
        function = function.func
    return names


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
