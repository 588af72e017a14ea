"""Type hints as JSON: the schema that a server is told, and Python's values from what it sends.

Both are made from the same hint in the same place, so they agree: what the schema allows is taken, and what
is taken has the type of the hint.  Models often send a value as text, such as "false" or "3": where a text
cannot be meant it is read as JSON once more.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from voicews.callables import safe_repr
from voicews.errors import ConfigError
from voicews.printable import printable

__all__ = ["ANYTHING", "Form", "Misfit", "form_of", "hints_of", "object_form", "or_null"]

_LONGEST = 80
"""Characters of a server's value in a message."""


class Misfit(ConfigError):
    """A value does not fit its hint.

    Attributes:
        within: True if the value is of the right kind, and something in it is wrong.
    """

    def __init__(self, message: str, *, within: bool = False) -> None:
        self.within = within
        super().__init__(message)


@dataclass(frozen=True)
class Form:
    """What a hint means in JSON."""

    schema: dict[str, Any]
    wanted: str
    """In words, to be said after "must be"."""
    convert: Callable[[Any, str, bool], Any]
    """From the value, the place where it stands, and whether texts may be read as JSON, to Python's value;
    raises :class:`Misfit`."""
    hashable: bool = True
    """Whether Python's values can be in a set."""

    def take(self, value: Any, where: str, texts: bool = True) -> Any:
        """Convert a value.

        Raises:
            Misfit: it does not fit; the message says where, and what would.
        """
        try:
            return self.convert(value, where, texts)
        except Misfit:
            if not (texts and isinstance(value, str)):
                raise
            read = _read(value)
            if isinstance(read, str):
                raise
            try:
                return self.convert(read, where, texts)
            except Misfit as misfit:
                if misfit.within:
                    raise
            raise

    def misfit(self, value: Any, where: str) -> Misfit:
        """It is something else."""
        return Misfit(f"{where.removesuffix(': ')} must be {self.wanted}, not {_written(value)}")


def _read(text: str) -> Any:
    """The JSON that a text holds (Python's spelling of true and false included), or the text itself."""
    if text.strip().lower() in ("true", "false"):
        text = text.lower()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _written(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    text = printable(text.encode("utf-8", "backslashreplace").decode())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


# -- plain values ---------------------------------------------------------------------------------


def _form(
    schema: dict[str, Any], wanted: str, convert: Callable[[Any], Any], *, hashable: bool = True
) -> Form:
    """Of a value without parts; ``convert`` raises TypeError or ValueError for one that does not fit."""

    def checked(value: Any, where: str, _texts: bool) -> Any:
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            raise form.misfit(value, where) from None

    form = Form(schema, wanted, checked, hashable)
    return form


def _only(*kinds: type) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError
        return value

    return checked


def _number(value: Any) -> int | float:
    """In JSON a boolean is no number, and NaN and the infinities are none either."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return value


def _integer(value: Any) -> int:
    """JSON has one kind of number: 2.0 is an integer."""
    if int(_number(value)) != value:
        raise ValueError
    return int(value)


ANYTHING = _form({}, "any value", lambda value: value, hashable=False)
"""What has no hint."""
_PLAIN: Mapping[Any, Form] = {
    str: _form({"type": "string"}, "a string", _only(str)),
    int: _form({"type": "integer"}, "an integer", _integer),
    float: _form({"type": "number"}, "a number", lambda value: float(_number(value))),
    bool: _form({"type": "boolean"}, "true or false", _only(bool)),
    types.NoneType: _form({"type": "null"}, "null", _only(types.NoneType)),
}
_COLLECTIONS = (list, tuple, set, frozenset)
_SCALAR = str | int | float | bool | None
"""What a set can hold for certain."""


def _choice(pairs: Iterable[tuple[Any, Any]], what: str) -> Form:
    """Of values in JSON and in Python."""
    pairs = list(pairs)
    kinds = {type(value) for value, _ in pairs}
    if kinds == {int, float}:
        kinds = {float}
    kind = _PLAIN.get(kinds.pop()) if len(kinds) == 1 else None
    if kind is None or not all(_fits(kind, value) for value, _ in pairs):
        types_there = ", ".join(sorted({type(value).__name__ for value, _ in pairs})) or "none"
        raise ConfigError(
            f"{what} offers choices of these types: {types_there}; all must be strings, or all numbers"
        )

    def chosen(value: Any) -> Any:
        for ours, meant in pairs:
            if ours == value and isinstance(ours, bool) == isinstance(value, bool):
                return meant
        raise ValueError

    values = [value for value, _ in pairs]
    return _form({**kind.schema, "enum": values}, f"one of {', '.join(map(_written, values))}", chosen)


def _fits(form: Form, value: Any) -> bool:
    try:
        form.convert(value, "", False)
    except Misfit:
        return False
    return True


def or_null(form: Form) -> Form:
    """The same, or null."""
    return form if _fits(form, None) else _union([form, _PLAIN[types.NoneType]])


# -- values with parts ----------------------------------------------------------------------------


def _union(parts: list[Form]) -> Form:
    def convert(value: Any, where: str, texts: bool) -> Any:
        telling: list[Misfit] = []
        for as_json in (
            (False, True) if texts else (False,)
        ):  # "3" is a string for `int | str`, 3 for `int | None`
            telling = []
            for part in parts:
                try:
                    return part.take(value, where, as_json)
                except Misfit as misfit:
                    telling += [misfit] if misfit.within else []
        raise telling[0] if len(telling) == 1 else form.misfit(value, where)

    schema = {"anyOf": [part.schema for part in parts]}
    wanted = " or ".join(dict.fromkeys(part.wanted for part in parts))
    form = Form(schema, wanted, convert, all(part.hashable for part in parts))
    return form


def _array(item: Form, make: Callable[[Iterable[Any]], Any], *, hashable: bool) -> Form:
    def convert(value: Any, where: str, texts: bool) -> Any:
        if not isinstance(value, list | tuple):
            raise form.misfit(value, where)
        try:
            return make([item.take(part, f"{where}[{n}]", texts) for n, part in enumerate(value)])
        except Misfit as misfit:
            misfit.within = True
            raise

    form = Form({"type": "array", "items": item.schema}, "a list", convert, hashable)
    return form


def _fixed(items: list[Form]) -> Form:
    """A tuple of so many, each with a hint of its own."""
    count = len(items)

    def convert(value: Any, where: str, texts: bool) -> Any:
        if not isinstance(value, list | tuple) or len(value) != count:
            raise form.misfit(value, where)
        try:
            return tuple(item.take(value[n], f"{where}[{n}]", texts) for n, item in enumerate(items))
        except Misfit as misfit:
            misfit.within = True
            raise

    schemas = [item.schema for item in items]
    distinct = [schema for n, schema in enumerate(schemas) if schema not in schemas[:n]]
    # `items` is for services that know `prefixItems` not, or refuse an array without it.
    schema: dict[str, Any] = {"type": "array", **({"prefixItems": schemas} if schemas else {})}
    schema["items"] = distinct[0] if len(distinct) == 1 else {"anyOf": distinct} if distinct else {}
    schema |= {"minItems": count, "maxItems": count}
    kinds = ", ".join(item.wanted for item in items)
    form = Form(
        schema,
        f"a list of {count} ({kinds})" if items else "an empty list",
        convert,
        all(i.hashable for i in items),
    )
    return form


def _mapping(item: Form) -> Form:
    def convert(value: Any, where: str, texts: bool) -> Any:
        if not isinstance(value, Mapping):
            raise form.misfit(value, where)
        try:
            return {key: item.take(part, _below(where, key), texts) for key, part in value.items()}
        except Misfit as misfit:
            misfit.within = True
            raise

    form = Form({"type": "object", "additionalProperties": item.schema}, "an object", convert, hashable=False)
    return form


def object_form(
    members: Mapping[str, Form],
    required: Iterable[str],
    make: Callable[..., Any],
    *,
    extra: bool = False,
    hashable: bool = False,
) -> Form:
    """Of an object with these members; ``make`` is called with them by name.

    Args:
        members: by name.
        required: those that must be there.
        make: returns Python's value; a ValueError or TypeError that it raises is a misfit.
        extra: other members are allowed, and passed on as they are.
        hashable: as in :class:`Form`.
    """
    required = list(required)

    def convert(value: Any, where: str, texts: bool) -> Any:
        if not isinstance(value, Mapping):
            raise form.misfit(value, where)
        place = where.removesuffix(": ")
        missing = [f"{_written(name)} ({members[name].wanted})" for name in required if name not in value]
        if missing:
            raise Misfit(f"{place} needs {', '.join(missing)}", within=True)
        unknown = [_written(name) for name in value if name not in members and not extra]
        if unknown:
            known = ", ".join(map(_written, members)) or "nothing"
            raise Misfit(f"{place} does not take {', '.join(unknown)}; it takes {known}", within=True)
        try:
            given = {
                name: members.get(name, ANYTHING).take(part, _below(where, name), texts)
                for name, part in value.items()
            }
        except Misfit as misfit:
            misfit.within = True
            raise
        try:
            return make(**given)
        except (ValueError, TypeError) as error:
            raise Misfit(f"{place} is refused: {error}", within=True) from error

    schema = {
        "type": "object",
        "properties": {name: member.schema for name, member in members.items()},
        "required": required,
        "additionalProperties": extra,
    }
    form = Form(schema, "an object", convert, hashable)
    return form


def _below(where: str, name: str) -> str:
    if where.endswith(": "):
        return where + name if name.isidentifier() else where + _written(name)
    return f"{where}.{name}" if name.isidentifier() else f"{where}[{_written(name)}]"


# -- hints ----------------------------------------------------------------------------------------


def hints_of(owner: Any, what: str) -> dict[str, Any]:
    """The hints of a function or class, those written as strings included.

    Raises:
        ConfigError: one cannot be read.
    """
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except Exception as error:  # a string may hold any expression
        advice = (
            "; where hints are strings, as with `from __future__ import annotations`, define what they name "
            "at the top of the module, not in a function"
        )
        raise ConfigError(
            f"the hints of {what} cannot be read: {error}{advice if isinstance(error, NameError) else ''}"
        ) from error


def form_of(hint: Any, what: str, within: tuple[Any, ...] = ()) -> Form:
    """What a hint means.

    Args:
        hint: a type, or what takes its place in hints.
        what: what has the hint, for messages.
        within: the classes and aliases whose parts are being looked at.

    Raises:
        ConfigError: JSON cannot say it.
    """
    while True:
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif typing.get_origin(hint) is typing.Annotated:
            hint = hint.__origin__
        elif type(hint).__name__ == "TypeAliasType":  # `type X = …`, from Python 3.12 on
            within = _deeper(hint, what, within)
            hint = hint.__value__
        else:
            break
    if hint is Any:
        return ANYTHING
    if hint is None:
        return _PLAIN[types.NoneType]
    if isinstance(hint, type):
        form = _of_class(hint, what, within)
    else:
        form = _of_parts(typing.get_origin(hint), typing.get_args(hint), what, within)
    if form is None:
        raise ConfigError(
            f"{what} has the hint {_hint(hint)}, which JSON cannot say; use str, int, float, bool, None, an "
            "Enum, Literal, list, tuple, set, dict with str keys, a dataclass, a TypedDict, or a union"
        )
    return form


def _of_class(kind: type, what: str, within: tuple[Any, ...]) -> Form | None:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _COLLECTIONS:
        item = form_of(_SCALAR, what) if kind in (set, frozenset) else ANYTHING
        return _array(item, kind, hashable=kind is frozenset)
    if kind is dict:
        return _mapping(ANYTHING)
    if issubclass(kind, enum.Enum):
        return _choice([(member.value, member) for member in kind], what)
    inside = f"{kind.__qualname__}, in {what},"
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, inside, _deeper(kind, what, within))
    if issubclass(kind, dict) and hasattr(kind, "__required_keys__"):
        return _typed_dict(kind, inside, _deeper(kind, what, within))
    return None


def _of_parts(origin: Any, inner: tuple[Any, ...], what: str, within: tuple[Any, ...]) -> Form | None:
    def part(hint: Any) -> Form:
        return form_of(hint, what, within)

    if origin is Literal:
        return _choice([(v.value if isinstance(v, enum.Enum) else v, v) for v in inner], what)
    if origin in (typing.Union, types.UnionType):
        return _union([part(hint) for hint in inner])
    if origin is dict and inner[0] is str:
        return _mapping(part(inner[1]))
    if origin is tuple and inner[1:] != (...,):
        return _fixed([part(hint) for hint in inner])
    if origin not in _COLLECTIONS:
        return None
    of_sets = origin in (set, frozenset)
    item = part(_SCALAR if of_sets and inner[0] is Any else inner[0])
    if of_sets and not item.hashable:
        raise ConfigError(f"{what} has a hint for a set of what a set cannot hold; use a list")
    return _array(item, origin, hashable=origin is frozenset or (origin is tuple and item.hashable))


def _deeper(hint: Any, what: str, within: tuple[Any, ...]) -> tuple[Any, ...]:
    if hint in within:
        raise ConfigError(f"{what} refers to {_hint(hint)} within itself, for which there is no schema")
    return (*within, hint)


def _dataclass(kind: Any, what: str, within: tuple[Any, ...]) -> Form:
    hints = hints_of(kind, what)
    members, required = {}, []
    for field in dataclasses.fields(kind):
        if field.init:
            members[field.name] = form_of(hints[field.name], f"the field {field.name} of {what}", within)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                required.append(field.name)
    by_identity = kind.__hash__ is object.__hash__
    hashable = by_identity or (kind.__hash__ is not None and all(form.hashable for form in members.values()))
    return object_form(members, required, kind, hashable=hashable)


def _typed_dict(kind: Any, what: str, within: tuple[Any, ...]) -> Form:
    members, required = {}, []
    for name, qualified in hints_of(kind, what).items():
        hint, must = qualified, name in kind.__required_keys__
        while (origin := typing.get_origin(hint)) in _QUALIFIERS:
            must = must if _QUALIFIERS[origin] is None else bool(_QUALIFIERS[origin])
            hint = hint.__args__[0]
        members[name] = form_of(hint, f"the key {name} of {what}", within)
        if must:
            required.append(name)
    return object_form(members, required, dict)


_QUALIFIERS: Mapping[Any, bool | None] = {
    typing.Required: True,
    typing.NotRequired: False,
    **({typing.ReadOnly: None} if hasattr(typing, "ReadOnly") else {}),
}
"""Of a TypedDict's keys.  Where hints are strings, ``__required_keys__`` does not know of them."""


def _hint(hint: Any) -> str:
    """A hint in a message; one that is none may be anything, also what must not be shown."""
    if isinstance(hint, type):
        return hint.__qualname__
    known = ("collections.abc", "types", "typing", "typing_extensions")
    return repr(hint) if type(hint).__module__ in known else safe_repr(hint)
