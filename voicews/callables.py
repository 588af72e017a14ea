"""Functions that a program hands to voicews: what they are called, and which cannot be called."""

from __future__ import annotations

import functools
import inspect
import reprlib
import types
from typing import Any

from voicews.errors import ConfigError

__all__ = ["name_of", "refuse_unrun", "require_plain", "safe_repr", "signature_of", "unwrapped"]

_NEVER_RUN = (
    (inspect.iscoroutinefunction, "an async function"),
    (inspect.isasyncgenfunction, "an async generator"),
    (inspect.isgeneratorfunction, "a generator function (it has a `yield`)"),
)


def unwrapped(function: Any) -> Any:
    """What is called in the end, without the partials, methods and staticmethods around it."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType | staticmethod):
            function = function.__func__
        else:
            return function


def name_of(function: Any) -> str:
    """What a callable is called in messages: a function by its name, an object by its class.

    ``repr()`` would show the arguments that a partial holds, or an object's fields: that is where keys live.
    """
    inner = unwrapped(function)
    name = getattr(inner, "__qualname__", None)
    return name if isinstance(name, str) else type(inner).__qualname__


def safe_repr(value: object) -> str:
    """A wrong value in a message: as it is, but what can be called only by its name, in lists too."""
    return _SHOWN.repr(value)


class _Shown(reprlib.Repr):
    """Bounded, as a value may be of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxlong = self.maxother = 1000

    def repr1(self, x: object, level: int) -> str:
        return name_of(x) if callable(x) else super().repr1(x, level)


_SHOWN = _Shown()


def require_plain(what: str, function: Any) -> None:
    """Refuse what would not run when it is called, however it is wrapped, and a method without its object.

    Args:
        what: such as "the callback".
        function: anything that can be called.

    Raises:
        ConfigError: it is an async function, a generator function, or not bound.
    """
    inner = unwrapped(function)
    for called in (inner, unwrapped(getattr(type(inner), "__call__", None))):  # noqa: B004 - is that one async?
        for is_kind, kind in _NEVER_RUN:
            if is_kind(called):
                raise ConfigError(
                    f"{what} {name_of(function)} is {kind}, and its body would never run; "
                    "voicews calls plain functions, on a thread of their own"
                )
    signature = signature_of(what, function)
    first = next(iter(signature.parameters), "") if signature else ""
    owner = name_of(function).rpartition(".")[0]
    if first in ("self", "cls") and owner and not owner.endswith("<locals>"):
        raise ConfigError(
            f"{what} {name_of(function)} is a method without its object; "
            f"give the method of an object, such as my_object.{inner.__name__}"
        )


def signature_of(what: str, function: Any) -> inspect.Signature | None:
    """The arguments that are still to be given; None for builtins that do not tell.

    Raises:
        ConfigError: a partial holds arguments that its function does not take.
    """
    for called in (function, unwrapped(function)):
        try:
            signature = inspect.signature(called)
        except (TypeError, ValueError):  # must not become a cause: its text has the partial's arguments
            continue
        if called is function:
            return signature
        raise ConfigError(f"{what} {name_of(function)} is a partial with arguments that it does not take")
    return None


def refuse_unrun(result: object) -> None:
    """Refuse a coroutine or generator that a plain function returned: nobody would run it.

    Raises:
        ConfigError: it is one, and has not begun.
    """
    if isinstance(result, types.CoroutineType):
        waits = inspect.getcoroutinestate(result) == inspect.CORO_CREATED
        if waits:
            result.close()  # else Python warns that it was never awaited
    elif isinstance(result, types.GeneratorType):
        waits = inspect.getgeneratorstate(result) == inspect.GEN_CREATED
    else:
        waits = isinstance(result, types.AsyncGeneratorType)
    if waits:
        kind = type(result).__name__.replace("_", " ")
        raise ConfigError(f"it returned the {kind} {getattr(result, '__qualname__', '')}, which nobody runs")
