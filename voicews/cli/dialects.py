"""From ``--dialect`` and ``--set`` to a dialect: all is read off the classes and their types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from voicews import dialects
from voicews.config import AudioFormat
from voicews.dialects.base import Dialect
from voicews.errors import ConfigError

__all__ = ["chosen", "did_you_mean", "made", "name_of", "names", "settings"]

_NAME = re.compile(r"OpenAI|ElevenLabs|[A-Z][a-z]+")
"""The words of a class's name."""


def names() -> dict[str, type[Dialect]]:
    """All dialects, by the name that they have on the command line: ``home-assistant-assist``."""
    classes = [getattr(dialects, name) for name in dialects.__all__]
    return {name_of(one): one for one in classes if issubclass(one, Dialect) and one is not Dialect}


def name_of(dialect: type[Dialect]) -> str:
    """What a dialect is called on the command line."""
    return "-".join(_NAME.findall(dialect.__name__)).lower()


def chosen(name: str) -> type[Dialect]:
    """The dialect of this name; its beginning is enough where no other begins so.

    Raises:
        ConfigError: there is none, or more than one; the message lists them.
    """
    known, wanted = names(), _bare(name)
    found = [full for full in known if wanted and _bare(full).startswith(wanted)]
    if len(found) == 1:
        return known[found[0]]
    if found:
        raise ConfigError(f"--dialect {name} could be {' or '.join(sorted(found))}: say which")
    near = {part: full for full in known for part in (_bare(full), full.partition("-")[0])}
    raise ConfigError(
        f"--dialect {name}: there is none of this name{did_you_mean(wanted, near)}; "
        f"there are {', '.join(sorted(known))}"
    )


def did_you_mean(wrong: str, right: Mapping[str, str]) -> str:
    """A question to add to a message; empty if nothing is similar.

    Args:
        wrong: what was given.
        right: what could be meant, by what it is similar to.
    """
    found = get_close_matches(wrong, right, 1, 0.7)
    return f" (did you mean {right[found[0]]}?)" if found else ""


def _bare(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def settings(dialect: type[Dialect]) -> list[str]:
    """The settings whose values can be said in words, in the order of the class."""
    hints = get_type_hints(dialect)
    return [one.name for one in _fields(dialect) if any(map(_can_be_said, _choices(hints[one.name])))]


def made(dialect: type[Dialect], given: Iterable[tuple[str, str]], **more: object) -> Dialect:
    """A dialect with these settings.

    Args:
        dialect: its class.
        given: names and values in words, as ``--set`` has them; of equal names the last counts.
        more: settings that are values already.

    Raises:
        ConfigError: there is no such setting, its value cannot be read, or the dialect refuses it; the
            message says which.
    """
    hints = get_type_hints(dialect)
    values: dict[str, Any] = {}
    for name, text in given:
        if name not in settings(dialect):
            raise ConfigError(_no_setting(dialect, name))
        values[name] = _read(f"{dialect.__name__}.{name}", hints[name], text)
    for name, value in more.items():
        if name not in hints:
            raise ConfigError(_no_setting(dialect, name))
        values[name] = value
    for field in _fields(dialect):
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{name_of(dialect)} needs {_how(dialect, field.name)}")
    return dialect(**values)


def _how(dialect: type[Dialect], name: str) -> str:
    """How to give a setting, with an example where the dialect's description has one."""
    if name == "url":
        return "the URL of its server"
    # What has no default comes first.
    example = re.search(rf'\b(?:{name}=|{dialect.__name__}\()"([^"]+)"', dialect.__doc__ or "")
    return f"--set {name}={example[1]}, or another" if example else f"--set {name}=VALUE"


def _no_setting(dialect: type[Dialect], name: str) -> str:
    if any(field.name == name for field in _fields(dialect)):
        return f"the setting {name!r} of {name_of(dialect)} is for programs only"
    known = settings(dialect)
    hint = did_you_mean(name, {one: one for one in known})
    return f"{name_of(dialect)} has no setting {name!r}{hint}; it has {', '.join(known)}"


def _fields(dialect: type[Dialect]) -> Sequence[Field[Any]]:
    return fields(dialect)  # type: ignore[arg-type]


# -- values ---------------------------------------------------------------------------------------


def _choices(hint: Any) -> list[Any]:
    """The types that a value may be of; a string, which anything could be, comes last."""
    types = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return sorted(types, key=lambda one: one is str)


def _can_be_said(choice: Any) -> bool:
    return choice is not NoneType and get_origin(choice) is not Callable


def _read(setting: str, hint: Any, text: str) -> object:
    choices = _choices(hint)
    broken = text.startswith("{") and any(_kind(one) is Mapping for one in choices)
    for choice in choices:
        if choice is str and broken:
            continue
        try:
            return _as(choice, text)
        except ValueError:
            continue
    meant = [_meaning(choice) for choice in choices if _can_be_said(choice)]
    none = ["none"] if NoneType in choices else []
    # The value is not shown, of whatever type: a key may have slipped into the wrong place.
    raise ConfigError(f"{setting} must be {' or '.join([*dict.fromkeys(meant), *none])}")


def _kind(choice: Any) -> Any:
    return get_origin(choice) or choice


def _as(choice: Any, text: str) -> object:
    """Read a value.

    Raises:
        ValueError: it is of another type.
    """
    kind = _kind(choice)
    if kind in _WORDS or kind is Literal:
        words = _WORDS.get(kind) or {str(one).lower(): one for one in get_args(choice)}
        if text.lower() not in words:
            raise ValueError
        return words[text.lower()]
    if kind in (int, float, str):
        return kind(text)
    if kind is AudioFormat:
        return AudioFormat(int(text))
    if kind is Sequence and get_args(choice) == (str,) and not text.startswith("["):
        return [one.strip() for one in text.split(",") if one.strip()]
    value = json.loads(text)
    if isinstance(value, {Mapping: dict, Sequence: list}.get(kind, ())):
        return value
    raise ValueError


_WORDS: Mapping[Any, Mapping[str, object]] = {
    NoneType: {"none": None},
    bool: {"true": True, "yes": True, "false": False, "no": False},
}


def _meaning(choice: Any) -> str:
    kind = _kind(choice)
    if kind is Literal:
        return " or ".join(str(one).lower() for one in get_args(choice))
    if kind is Sequence and get_args(choice) == (str,):
        return "words with commas between"
    return _MEANINGS[kind]


_MEANINGS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    AudioFormat: "a rate in Hz",
    Mapping: "a JSON object",
    Sequence: "a JSON list",
}
