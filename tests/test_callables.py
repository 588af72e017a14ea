"""What functions are called, which are refused, and that what a partial holds is never shown."""

from __future__ import annotations

import functools
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from voicews.callables import name_of, refuse_unrun, require_plain, safe_repr, signature_of, unwrapped
from voicews.errors import ConfigError

KEY = "sk-canary"


def plain(key: str, event: object = None) -> None:
    """Do it."""


async def later(key: str, event: object = None) -> None:
    """Never run."""


def steps(key: str, event: object = None) -> Iterator[int]:
    """Never run."""
    yield 1


async def stream(key: str, event: object = None) -> AsyncIterator[int]:
    """Never run."""
    yield 1


class Thing:
    """Shows its key, as a dataclass does."""

    def __init__(self, key: str = KEY) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"Thing({self.key!r})"

    def method(self, event: object = None) -> None:
        """Do it."""

    def hello(self) -> None:
        """Do it."""

    @staticmethod
    def static(event: object = None) -> None:
        """Do it."""

    @classmethod
    def of_class(cls, event: object = None) -> None:
        """Do it."""

    def __call__(self, event: object = None) -> None:
        """Do it."""


class LaterThing(Thing):
    async def __call__(self, event: object = None) -> None:  # type: ignore[override]
        """Never run."""


class StepsThing(Thing):
    def __call__(self, event: object = None) -> Iterator[int]:  # type: ignore[override]
        """Never run."""
        yield 1


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (plain, "plain"),
        (functools.partial(plain, KEY), "plain"),
        (functools.partial(functools.partial(plain, KEY), event=KEY), "plain"),
        (Thing().method, "Thing.method"),
        (functools.partial(Thing().method, KEY), "Thing.method"),
        (Thing(), "Thing"),
        (functools.partial(Thing(), KEY), "Thing"),
        (Thing, "Thing"),
        (print, "print"),
        ([].append, "list.append"),
        (operator.methodcaller("run", KEY), "methodcaller"),
        (operator.itemgetter(KEY), "itemgetter"),
        (staticmethod(plain), "plain"),
        (functools.lru_cache(plain), "plain"),
        (Mock(name=KEY), "Mock"),
    ],
)
def test_a_callable_goes_by_the_name_of_what_is_called(function: Any, name: str) -> None:
    assert name_of(function) == name
    assert safe_repr(function) == name
    assert safe_repr([function]) == f"[{name}]"
    assert safe_repr({"a": (function,)}) == f"{{'a': ({name},)}}"
    require_plain("the callback", function)


@pytest.mark.parametrize("value", [None, 3, "text", b"x", 10**400, [1, "a"], {"a": 1}])
def test_other_values_are_shown_as_they_are(value: Any) -> None:
    assert safe_repr(value) == repr(value)


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: functools.partial(f, KEY), staticmethod])
@pytest.mark.parametrize(
    ("function", "kind"), [(later, "async f"), (steps, "generator"), (stream, "async g")]
)
def test_what_would_not_run_is_refused_however_it_is_wrapped(
    wrap: Callable[[Any], Any], function: Any, kind: str
) -> None:
    with pytest.raises(ConfigError, match=rf"the callback {function.__name__} is an? {kind}") as caught:
        require_plain("the callback", wrap(function))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("function", [LaterThing(), StepsThing(), functools.partial(LaterThing(), KEY)])
def test_so_is_an_object_whose_call_would_not_run(function: Any) -> None:
    with pytest.raises(ConfigError, match=r"(Later|Steps)Thing is an? (async function|generator)"):
        require_plain("the callback", function)


def test_a_class_whose_objects_are_async_is_a_plain_callable() -> None:
    require_plain("the callback", LaterThing)


@pytest.mark.parametrize("function", [Thing.method, Thing.hello, functools.partial(Thing.method)])
def test_a_method_without_its_object_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match=r"Thing\.(method|hello) is a method without its object"):
        require_plain("the tool", function)


def test_methods_with_their_objects_and_functions_within_methods_are_fine() -> None:
    def local(self: object) -> None:
        """One may well call it so."""

    for function in (
        Thing().method,
        Thing.static,
        Thing.of_class,
        functools.partial(Thing.method, Thing()),
        local,
    ):
        require_plain("the tool", function)


@pytest.mark.parametrize(
    "function", [functools.partial(plain, KEY, KEY, KEY), functools.partial(plain, nothing=KEY)]
)
def test_a_partial_with_wrong_arguments_is_refused_without_being_shown(function: Any) -> None:
    with pytest.raises(
        ConfigError, match="plain is a partial with arguments that it does not take"
    ) as caught:
        signature_of("the callback", function)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_some_builtins_do_not_tell_their_arguments() -> None:
    assert signature_of("the callback", dict.fromkeys("a").update) is None
    assert unwrapped(functools.partial(print, KEY)) is print


@pytest.mark.parametrize("function", [later, steps, stream])
def test_what_a_plain_function_returns_to_be_run_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match=f"returned the .* {function.__name__}, which nobody runs"):
        refuse_unrun(function(KEY))


def test_other_results_are_nobodys_business() -> None:
    running = steps(KEY)
    next(running)
    for result in (3, [1], running, Thing()):
        refuse_unrun(result)
