"""What every dialect has to keep; a dialect's tests inherit :class:`DialectContract`."""

from __future__ import annotations

import ast
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicews import commands, events
from voicews.commands import (
    Command,
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
    ToolResult,
    TruncateResponse,
)
from voicews.dialects import Dialect, Session
from voicews.errors import LocalProtocolError, RemoteProtocolError, ServiceError, Unsupported
from voicews.events import AudioReceived, Event, Message, Transcript
from voicews.history import History

IMPURE = {
    "asyncio", "concurrent", "datetime", "http", "logging", "multiprocessing", "os", "queue", "random",
    "requests", "secrets", "select", "selectors", "socket", "ssl", "subprocess", "threading", "time",
    "urllib.request", "websocket", "websockets",
}  # fmt: skip

EXAMPLES: Sequence[Command] = (
    SendAudio(b"\1\0" * 320, 1.0),
    SendText("Hello, you \N{SNOWMAN}"),
    StartTurn(),
    EndTurn(),
    InterruptResponse(),
    TruncateResponse(1234),
    ToolResult("call-1", {"on": True}),
    SendMessage({"type": "anything", "n": 1}),
    SendMessage("words"),
    SendMessage(b"\0\1"),
)
BOMBS = (
    "[" * 100_000,
    '{"type":' * 50_000,
    '{"type":"error","error":' + '{"error":' * 900 + "1" + "}" * 901,
    '{"type":"transcript","role":' + "[" * 900 + "]" * 900 + "}",
    '{"n":' + "9" * 10_000 + "}",
    '{"sample_rate":' + "9" * 4_000 + ',"type":"error","code":' + "9" * 4_000 + "}",
    '{"type":"metadata","sample_rate":1e999}',
    '{"type":NaN}',
    "NaN",
    '{"type":"transcript","type":7,"text":"a","text":[]}',
    '{"type":"transcript","text":"\\ud800"}',
    "",
    "null",
    "\0",
    "\ufeff{}",
)

inherited = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])
"""The test classes hold no state, so it does no harm that several run the same function."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class DialectContract(ABC):
    """The promises of ``dialects/base.py``, whatever the language."""

    @abstractmethod
    def dialect(self) -> Dialect:
        """One with the settings of everyday."""

    @property
    @abstractmethod
    def handshake(self) -> Sequence[str | bytes]:
        """What the server says until it has accepted the session; empty if it says nothing."""

    @property
    @abstractmethod
    def server_words(self) -> Sequence[dict[str, Any]]:
        """One message of every kind that the server has."""

    @abstractmethod
    def said_sound(self, message: str | bytes) -> bytes:
        """The sound in a message of ours; empty if there is none."""

    @abstractmethod
    def server_sound(self, pcm: bytes) -> str | bytes | None:
        """The server's message with this sound; None for a server that has no voice."""

    @property
    def secrets(self) -> Sequence[str]:
        """What must never be shown, and is somewhere in :meth:`dialect`'s settings."""
        return ()

    def start(self, previous: Session | None = None, history: History | None = None) -> Session:
        """A session that the server has accepted; what it has said so far is taken away."""
        session = self.dialect().begin(previous, history or History())
        for message in self.handshake:
            session.messages_to_send()
            session.receive(message)
        session.messages_to_send()
        assert session.ready
        return session

    def opening(self, previous: Session | None = None, history: History | None = None) -> list[str | bytes]:
        """All that a new session says until it is ready."""
        session = self.dialect().begin(previous, history or History())
        said = session.messages_to_send()
        for message in self.handshake:
            session.receive(message)
            said += session.messages_to_send()
        return said

    # -- what the server may say --------------------------------------------------------------

    @staticmethod
    def survive(session: Session, messages: Iterable[str | bytes]) -> None:
        """Nothing but the two allowed errors comes out, and nothing but events."""
        for message in messages:
            try:
                heard = session.receive(message)
            except (RemoteProtocolError, ServiceError):
                return
            assert isinstance(heard, list)
            for event in heard:
                assert isinstance(event, Event)
                assert type(event).__module__ == events.__name__
                str(event)
            for said in session.messages_to_send():
                assert isinstance(said, str | bytes)

    @inherited
    @given(data=st.data())
    def test_no_message_raises_anything_else(self, data: st.DataObject) -> None:
        """Sense, nonsense and sense with wrong values, in any order."""
        words = self.server_words
        kinds = sorted({str(word["type"]) for word in words if "type" in word})
        keys = sorted({key for word in words for key in word})

        @st.composite
        def distorted(draw: st.DrawFn) -> str:
            word = dict(draw(st.sampled_from(words))) if words else {}
            for key in draw(st.lists(st.sampled_from(keys or ["type"]), max_size=3)):
                word[key] = draw(json_values | st.sampled_from(kinds or [""]))
            for key in draw(st.lists(st.sampled_from(sorted(word) or [""]), max_size=2)):
                word.pop(key, None)
            return json.dumps(word)

        any_message = st.one_of(
            st.sampled_from(words).map(json.dumps) if words else st.text(),
            distorted(),
            st.text(),
            st.binary(),
            json_values.map(json.dumps),
            st.sampled_from(BOMBS),
            st.sampled_from(list(self.handshake) or [""]),
        )
        session = self.dialect().begin(None, History())
        self.survive(session, data.draw(st.lists(any_message, max_size=12)))

    @pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
    def test_no_bomb_goes_off(self, bomb: str) -> None:
        self.survive(self.start(), [bomb, bomb.encode("utf-8", "surrogatepass")])

    def test_what_is_unknown_becomes_a_message(self) -> None:
        word = {"type": "voicews.never_heard_of_this", "depth": [1, {"a": None}]}
        [event] = self.start().receive(json.dumps(word))
        assert event == Message(word)

    def test_every_word_of_the_server_is_understood(self) -> None:
        """A word that the test lists and the session does not know is a slip in one of them."""
        for word in self.server_words:
            session = self.start()
            try:
                heard = session.receive(json.dumps(word))
            except ServiceError:
                continue
            assert not any(isinstance(event, Message) for event in heard), word

    # -- sound --------------------------------------------------------------------------------

    @inherited
    @given(frames=st.lists(st.binary(max_size=50).map(lambda half: b"\0\1" + half * 2), max_size=10))
    def test_sound_in_is_sound_out(self, frames: list[bytes]) -> None:
        """Byte for byte, towards the server and from it."""
        session = self.start()
        sent, heard = b"", b""
        for pcm in frames:
            session.send(SendAudio(pcm, 0.0))
            sent += b"".join(self.said_sound(message) for message in session.messages_to_send())
            said = self.server_sound(pcm)
            events = [] if said is None else session.receive(said)
            heard += b"".join(event.pcm for event in events if isinstance(event, AudioReceived))
        assert sent == b"".join(frames)
        assert heard == (b"" if self.server_sound(b"\0\0") is None else b"".join(frames))

    def test_received_sound_has_whole_samples_and_a_format(self) -> None:
        session, said = self.start(), self.server_sound(bytes(640))
        events = [] if said is None else session.receive(said)
        sound = [event for event in events if isinstance(event, AudioReceived)]
        assert bool(sound) == (said is not None)
        assert all(len(event.pcm) % event.format.bytes_per_sample == 0 for event in sound)

    # -- the end ------------------------------------------------------------------------------

    def test_the_last_partial_is_final_once_the_connection_is_over(self) -> None:
        assert self.start().last_words(resumes=False) == []
        for word in self.server_words:
            session = self.start()
            try:
                heard = session.receive(json.dumps(word))
            except ServiceError:
                continue
            open_lines = {line.role: line for line in heard if isinstance(line, Transcript)}
            wanted = [(line.role, line.text) for line in open_lines.values() if not line.final]
            told = session.last_words(resumes=False)
            finals = [(line.role, line.text) for line in told if isinstance(line, Transcript) and line.final]
            assert finals == [line for line in wanted if line[1].strip()], word
            assert session.last_words(resumes=False) == []

    def test_a_partial_that_is_not_heard_again_is_told_at_once_or_goes_on(self) -> None:
        """Without any sound of ours to send again; in the end it is told, once."""
        for word in self.server_words:
            lost = self.start()
            try:
                heard = lost.receive(json.dumps(word))
            except ServiceError:
                continue
            partial = next((e.text for e in reversed(heard) if isinstance(e, Transcript)), "")
            if not partial.strip() or any(isinstance(e, Transcript) and e.final for e in heard):
                continue
            told = lost.last_words(resumes=True)
            told += self.dialect().begin(lost, History()).last_words(resumes=False)
            assert [event.text for event in told if isinstance(event, Transcript)] == [partial], word

    # -- order --------------------------------------------------------------------------------

    def test_nothing_is_said_before_the_session_is_ready(self) -> None:
        session = self.dialect().begin(None, History())
        for message in self.handshake:
            assert not session.ready
            session.messages_to_send()
            for command in EXAMPLES:
                with pytest.raises(LocalProtocolError):
                    session.send(command)
            assert session.messages_to_send() == []
            session.receive(message)
        assert session.ready

    def test_messages_are_given_out_once(self) -> None:
        session = self.start()
        session.send(SendAudio(bytes(640), 0.0))
        assert session.messages_to_send()
        assert session.messages_to_send() == []

    def test_a_new_connection_says_its_settings_again(self) -> None:
        lost = self.start()
        for word in self.server_words[:3]:
            self.survive(lost, [json.dumps(word)])
        assert self.opening(lost) == self.opening()

    def test_sessions_share_nothing(self) -> None:
        dialect = self.dialect()
        one, other = dialect.begin(None, History()), dialect.begin(None, History())
        expected = dialect.begin(None, History()).messages_to_send()
        for message in self.handshake:
            one.receive(message)
        one.messages_to_send()
        one.send(SendAudio(bytes(640), 0.0))
        assert other.messages_to_send() == expected

    def test_finish_may_be_said_at_any_time_and_twice(self) -> None:
        early = self.dialect().begin(None, History())
        early.messages_to_send()
        early.finish()
        late = self.start()
        assert not late.finished
        late.finish()
        said = late.messages_to_send()
        late.finish()
        assert late.messages_to_send() == []
        assert all(isinstance(message, str | bytes) for message in said)

    # -- what can be said ---------------------------------------------------------------------

    @pytest.mark.parametrize("command", EXAMPLES, ids=lambda command: type(command).__name__)
    def test_accepts_tells_the_truth(self, command: Command) -> None:
        dialect, session = self.dialect(), self.start()
        if type(command) in dialect.accepts:
            session.send(command)
            assert all(isinstance(message, str | bytes) for message in session.messages_to_send())
        else:
            with pytest.raises(Unsupported, match=type(command).__name__):
                session.send(command)
            assert session.messages_to_send() == []

    def test_examples_hold_every_command(self) -> None:
        known = {getattr(commands, name) for name in commands.__all__} - {Command}
        assert {type(command) for command in EXAMPLES} == known
        assert self.dialect().accepts <= known

    # -- manners ------------------------------------------------------------------------------

    def test_secrets_are_not_shown(self) -> None:
        dialect = self.dialect()
        shown = f"{dialect!r} {dialect} {dialect.request()!r} {dialect.request()} {self.start()!r}"
        for secret in self.secrets:
            assert secret not in shown

    def test_request_is_a_websocket_url(self) -> None:
        request = self.dialect().request()
        assert request.url.startswith(("ws://", "wss://"))
        assert all(isinstance(part, str) for item in request.headers.items() for part in item)

    def test_settings_are_frozen(self) -> None:
        dialect = self.dialect()
        with pytest.raises(AttributeError):
            dialect.url = "ws://elsewhere"  # type: ignore[attr-defined]

    def test_classify_gives_an_error_back(self) -> None:
        error = RemoteProtocolError("x")
        assert isinstance(self.dialect().classify(error), Exception)
        assert isinstance(self.start().classify(error), Exception)

    def test_the_module_is_pure(self) -> None:
        """No socket, thread, clock or chance, not even imported."""
        tree = ast.parse(inspect.getsource(inspect.getmodule(type(self.dialect()))))  # type: ignore[arg-type]
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
        assert not {name for name in names if name in IMPURE or name.split(".")[0] in IMPURE}
