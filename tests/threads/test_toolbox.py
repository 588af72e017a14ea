"""Calling tools where they can hold up nobody, and through the whole client."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.patience import PATIENCE
from tests.peer import peer
from voicews import (
    Backoff,
    ClientConfig,
    ConfigError,
    Event,
    State,
    Tool,
    ToolCall,
    ToolCallCancelled,
    Undelivered,
    Unsupported,
    VoiceClient,
)
from voicews.audio.silence import NullSink, SilenceSource
from voicews.commands import Command, SendMessage, ToolResult
from voicews.dialects import Plain, Session
from voicews.history import History
from voicews.threads.toolbox import Toolbox


class Rig:
    def __init__(self, *functions: Callable[..., Any]) -> None:
        self.answers: queue.Queue[ToolResult] = queue.Queue()
        tools = {function.__name__: Tool.of(function, description="Do it.") for function in functions}
        self.box = Toolbox(tools, self.answers.put)

    def call(self, name: str, call_id: str = "1", **arguments: Any) -> None:
        self.box.call(ToolCall(call_id, name, arguments))

    def answer(self) -> ToolResult:
        return self.answers.get(timeout=PATIENCE)


def switch(on: bool) -> str:
    """Switch it on or off."""
    return "on" if on else "off"


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def test_where_no_thread_is_left_the_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    rig = Rig(double)
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", no_thread)
        rig.call("double", number=2)
        assert rig.answer() == ToolResult("1", error="the function cannot be called now")
    assert not rig.box.cancel("1"), "it was answered"
    assert rig.box.alive(0) == []
    rig.call("double", number=2)
    assert rig.answer() == ToolResult("1", 4)


def test_a_call_is_answered_from_a_thread_of_its_own() -> None:
    threads = []

    def where() -> str:
        threads.append(threading.current_thread().name)
        return "here"

    rig = Rig(where)
    rig.call("where")
    assert rig.answer() == ToolResult("1", "here")
    assert threads == ["voicews-tool-where"]
    assert rig.box.alive(PATIENCE) == []


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("double", {"numbr": 1}, 'double() needs "number" (an integer)'),
        ("double", {"number": "two"}, 'double(): number must be an integer, not "two"'),
        ("switch", {"on": "off"}, 'switch(): on must be true or false, not "off"'),
        ("unknown", {}, "there is no tool named unknown"),
    ],
)
def test_a_wrong_call_is_answered_with_what_is_wrong(
    name: str, arguments: dict[str, Any], error: str
) -> None:
    rig = Rig(double, switch)
    rig.call(name, **arguments)
    assert rig.answer() == ToolResult("1", error=error)


def test_a_value_that_came_as_text_is_what_it_says() -> None:
    rig = Rig(double, switch)
    rig.call("switch", on="false")
    assert rig.answer() == ToolResult("1", "off")
    rig.call("double", number="21")
    assert rig.answer() == ToolResult("1", 42)


@pytest.mark.parametrize("problem", [ValueError("too hot"), SystemExit(2)])
def test_what_a_tool_raises_is_told(problem: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise problem

    rig = Rig(fail)
    rig.call("fail")
    assert rig.answer().error == f"{type(problem).__name__}: {problem}"


def test_a_cancelled_call_is_not_answered() -> None:
    go_on = threading.Event()

    def wait() -> str:
        go_on.wait(PATIENCE)
        return "late"

    rig = Rig(wait, double)
    rig.call("wait", "slow")
    assert rig.box.cancel("slow")
    assert not rig.box.cancel("slow")
    go_on.set()
    assert rig.box.alive(PATIENCE) == []
    rig.call("double", "quick", number=4)
    assert rig.answer() == ToolResult("quick", 8)


def test_a_call_that_takes_too_long_is_answered_once() -> None:
    go_on = threading.Event()

    def wait() -> str:
        go_on.wait(PATIENCE)
        return "late"

    rig = Rig(wait)
    rig.call("wait")
    rig.box.expire("1", 0.5)
    assert rig.answer().error == "no result within 0.5 s"
    assert [thread.name for thread in rig.box.alive(0)] == ["voicews-tool-wait"]
    go_on.set()
    assert rig.box.alive(PATIENCE) == []
    rig.box.expire("1", 0.5)
    assert rig.answers.empty()


def test_a_server_cannot_start_calls_without_end() -> None:
    go_on = threading.Event()

    def wait() -> None:
        go_on.wait(PATIENCE)

    rig = Rig(wait)
    for number in range(9):
        rig.call("wait", str(number))
    refused = rig.answer()
    assert refused.call_id == "8"
    assert refused.error == "8 calls are under way already"
    go_on.set()
    assert rig.box.alive(PATIENCE) == []


class _Calling(Plain):
    """A plain dialect with tools, in JSON as simple as can be."""

    @property
    def accepts(self) -> frozenset[type[Command]]:
        return super().accepts | {ToolResult}

    def begin(self, previous: Session | None, history: History, tools: Sequence[Tool] = ()) -> Session:
        session = super().begin(previous, history, tools)
        send, receive = session.send, session.receive
        send(SendMessage({"type": "tools", "names": [tool.name for tool in tools]}))

        def say(command: Command) -> None:
            if isinstance(command, ToolResult):
                command = SendMessage({"type": "result", "result": command.result, "error": command.error})
            send(command)

        def understand(message: str | bytes) -> list[Event]:
            match json.loads(message):
                case {"call": name, "arguments": arguments}:
                    return [ToolCall("1", name, arguments)]
                case {"cancel": call_id}:
                    return [ToolCallCancelled(call_id)]
            return receive(message)

        session.send, session.receive = say, understand  # type: ignore[method-assign]
        return session


@pytest.fixture
def call() -> Iterator[Callable[..., Any]]:
    with peer() as server:

        def make(**config: Any) -> tuple[Any, VoiceClient]:
            voice = VoiceClient(
                _Calling(server.url),
                microphone=SilenceSource(),
                speaker=NullSink(),
                config=ClientConfig(**{"backoff": Backoff(initial=0.01), **config}),
            )
            return server, voice

        yield make


def test_the_server_calls_and_gets_its_answer(call: Callable[..., Any]) -> None:
    server, voice = call()

    @voice.tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    with voice:
        assert server.call().wait_for_text("tools")["names"] == ["add"]
        server.call().send({"call": "add", "arguments": {"a": 2, "b": 3}})
        assert server.call().wait_for_text("result") == {"type": "result", "result": 5, "error": None}


def test_a_tool_that_takes_too_long_is_told_and_a_new_session_knows_new_tools(
    call: Callable[..., Any],
) -> None:
    server, voice = call(tool_timeout=0.1)
    go_on = threading.Event()

    @voice.tool(name="think")
    def ponder() -> None:
        """Think it over."""
        go_on.wait(PATIENCE)

    with voice:
        server.call().send({"call": "think", "arguments": {}})
        assert server.call().wait_for_text("result")["error"] == "no result within 0.1 s"
        go_on.set()

        @voice.tool
        def late() -> None:
            """Come late."""

        server.call().cut()
        assert server.call(2).wait_for_text("tools")["names"] == ["think", "late"]


def test_a_result_that_comes_when_the_connection_is_gone_is_told(call: Callable[..., Any]) -> None:
    server, voice = call(backoff=Backoff(initial=0.3, jitter=0.0))
    with voice, voice.events(Undelivered) as told:
        server.call().cut()
        voice.wait_for(State.RECONNECTING, PATIENCE)
        voice.send(ToolResult("1", 5))
        assert told.get(PATIENCE) == Undelivered(ToolResult("1", 5), sent=False)
        server.call(2).wait_for_text("tools")
        assert "superseded" not in voice.stats().frames_dropped


def test_calls_that_nobody_offered_are_left_to_a_callback(call: Callable[..., Any]) -> None:
    server, voice = call()
    with voice:
        server.call().send({"call": "unknown", "arguments": {}})
        assert "no tool named unknown" in server.call().wait_for_text("result")["error"]
    voice.on(ToolCall, lambda event: voice.send(ToolResult(event.call_id, result=event.name)))
    with voice:
        server.call(2).send({"call": "unknown", "arguments": {}})
        assert server.call(2).wait_for_text("result")["result"] == "unknown"


def test_two_tools_of_one_name_are_refused(call: Callable[..., Any]) -> None:
    _, voice = call()
    voice.tool(double)
    with pytest.raises(ConfigError, match=r'a tool named double already; .* name="…"'):
        voice.tool(name="double")(switch)
    voice.tool(name="twice")(double)


@pytest.mark.parametrize("tools", [double, "double", Tool.of(double), 3])
def test_tools_are_given_as_a_list(tools: Any) -> None:
    with pytest.raises(ConfigError, match="tools must be a list of functions"):
        VoiceClient(_Calling("ws://localhost"), tools=tools)


def test_a_dialect_without_tools_refuses_them_at_once() -> None:
    voice = VoiceClient("ws://localhost", microphone=SilenceSource(), speaker=NullSink())
    with pytest.raises(Unsupported, match="Plain has no tools"):
        voice.tool(double)
    with pytest.raises(Unsupported):
        VoiceClient("ws://localhost", microphone=SilenceSource(), speaker=NullSink(), tools=[double])
