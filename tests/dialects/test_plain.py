"""The plain dialect: its vocabulary, and what it makes of servers that never heard of it."""

from __future__ import annotations

import io
import itertools
import json
import re
import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.commands import (
    EndTurn,
    InterruptResponse,
    SendAudio,
    SendMessage,
    SendText,
    StartTurn,
    TruncateResponse,
)
from voicews.config import AudioFormat
from voicews.dialects import Dialect, Plain, Session
from voicews.dialects import plain as plain_module
from voicews.errors import (
    ConfigError,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    ServiceError,
)
from voicews.events import (
    AudioReceived,
    Event,
    Interrupted,
    Message,
    ResponseDone,
    ResponseStarted,
    ServerError,
    SpeechStarted,
    SpeechStopped,
    Token,
    Transcript,
)
from voicews.history import History, Turn

URL = "ws://localhost:8765/talk"
SAMPLES = bytes(range(1, 201)) * 3


def wav(samples: bytes, rate: int = 22050) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples)
    return file.getvalue()


WAV = wav(SAMPLES)

WORDS: list[dict[str, Any]] = [
    {"type": "ready", "sample_rate": 24000},
    {"type": "metadata", "sample_rate": 24000},
    {"type": "speech_started"},
    {"type": "speech_stopped"},
    {"type": "transcript", "role": "user", "text": "turn on", "final": False},
    {"type": "transcription", "text": "turn on the light", "is_final": True},
    {"type": "partial", "text": "turn"},
    {"type": "final", "text": "turn on the light"},
    {"text": "turn on the light"},
    {"transcript": "turn on", "completed": False},
    {"type": "response_started"},
    {"type": "token", "text": "It "},
    {"type": "response_done", "text": "It is on."},
    {"type": "interrupted"},
    {"type": "error", "message": "no ears", "code": "deaf", "fatal": False},
    {"type": "error", "message": "go away", "fatal": True},
    {"type": "finished"},
]


class PlainContract(DialectContract):
    """What both ways of starting have in common."""

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS

    def said_sound(self, message: str | bytes) -> bytes:
        return message if isinstance(message, bytes) else b""

    def server_sound(self, pcm: bytes) -> str | bytes:
        return pcm

    @property
    def secrets(self) -> Sequence[str]:
        return "hunter2", "bearer-token", "query-token", "hello-token", "eof-token", "protocol-token"


class TestPlainContract(PlainContract):
    def dialect(self) -> Dialect:
        return Plain(
            "wss://user:hunter2@voice.example/talk?key=query-token",
            headers={"Authorization": "Bearer bearer-token"},
            subprotocols=("protocol-token",),
            hello={"token": "hello-token"},
            eof={"type": "end_of_stream", "token": "eof-token"},
        )

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return ()


class TestPlainContractWithGreeting(PlainContract):
    def dialect(self) -> Dialect:
        return Plain(URL, await_ready=True, resume=True)

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return ('{"type":"ready","sample_rate":24000}',)


def begin(history: History | None = None, **settings: Any) -> Session:
    return Plain(URL, **settings).begin(None, history or History())


def hear(*words: dict[str, Any] | str | bytes, **settings: Any) -> list[Event]:
    session = begin(**settings)
    return [event for word in words for event in tell(session, word)]


def tell(session: Session, word: dict[str, Any] | str | bytes) -> list[Event]:
    return session.receive(json.dumps(word) if isinstance(word, dict) else word)


def said(session: Session) -> list[Any]:
    return [json.loads(m) if isinstance(m, str) else m for m in session.messages_to_send()]


# -- what the server says ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "events"),
    [
        ({"type": "ready", "sample_rate": 24000}, []),
        ({"type": "ready"}, []),
        ({"type": "ready", "sample_rate": None, "channels": None}, []),
        ({"type": "ready", "sample_rate": "24000", "channels": "2"}, []),
        ({"type": "metadata", "sample_rate": 8000.0}, []),
        ({"type": "metadata"}, [Message({"type": "metadata"})]),
        ({"type": "speech_started"}, [SpeechStarted()]),
        ({"type": "speech_stopped"}, [SpeechStopped()]),
        ({"type": "transcript", "text": "a"}, [Transcript("user", "a", True)]),
        ({"type": "transcript", "text": "a", "final": False}, [Transcript("user", "a", False)]),
        ({"type": "transcript", "text": "a", "is_final": 0}, [Transcript("user", "a", False)]),
        ({"type": "transcript", "text": "a", "is_final": 1.0}, [Transcript("user", "a", True)]),
        ({"type": "transcript", "text": "a", "final": "false"}, [Transcript("user", "a", False)]),
        ({"type": "partial", "text": "a", "final": " True"}, [Transcript("user", "a", True)]),
        ({"type": "transcript", "text": "a", "final": "soon"}, [Transcript("user", "a", True)]),
        ({"type": "transcript", "text": "a", "final": [False]}, [Transcript("user", "a", True)]),
        (
            {"type": "transcript", "text": "a", "final": "soon", "completed": False},
            [Transcript("user", "a", False)],
        ),
        ({"type": "transcript", "text": "a", "role": None}, [Transcript("user", "a", True)]),
        ({"type": "transcript", "text": "", "final": False}, [Transcript("user", "", False)]),
        ({"type": "transcript", "text": "a", "role": "Agent"}, [Transcript("assistant", "a")]),
        ({"type": "transcript", "text": None, "transcript": "b"}, [Transcript("user", "b")]),
        ({"type": "partial", "text": "a"}, [Transcript("user", "a", False)]),
        ({"type": "partial", "text": "a", "is_final": True}, [Transcript("user", "a", True)]),
        ({"type": "final", "text": "a"}, [Transcript("user", "a", True)]),
        ({"text": "a"}, [Transcript("user", "a", True)]),
        ({"transcript": "a", "completed": False}, [Transcript("user", "a", False)]),
        ({"type": "transcript", "text": "\ud800x"}, [Transcript("user", "\N{REPLACEMENT CHARACTER}x")]),
        ({"type": "response_started"}, [ResponseStarted()]),
        ({"type": "token", "text": "a "}, [Token("a ")]),
        ({"type": "response_done"}, [ResponseDone()]),
        ({"type": "response_done", "text": "a"}, [Transcript("assistant", "a"), ResponseDone()]),
        ({"type": "interrupted"}, [Interrupted()]),
        ({"type": "error", "message": "a"}, [ServerError("a", None)]),
        ({"type": "error", "message": "a", "code": 7}, [ServerError("a", 7)]),
        ({"type": "error", "message": "a", "code": True}, [ServerError("a", None)]),
        ({"type": "error", "error": "a", "code": "b"}, [ServerError("a", "b")]),
        ({"type": "error", "error": {"message": "a", "code": "b"}}, [ServerError("a", "b")]),
        ({"type": "error", "text": "a", "fatal": "maybe"}, [ServerError("a", None)]),
        ({"type": "error", "text": "a", "fatal": "false"}, [ServerError("a", None)]),
        ({"type": "error", "message": ["a"], "code": 7}, [ServerError('{"message": ["a"]}', 7)]),
        ({"type": "error", "detail": "no ears"}, [ServerError('{"detail": "no ears"}', None)]),
        ({"type": "error"}, [ServerError("it did not say why", None)]),
        ({"type": "finished"}, []),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_vocabulary(word: dict[str, Any], events: list[Event]) -> None:
    assert hear(word) == events


@pytest.mark.parametrize(
    "word",
    [
        {"type": "transcript"},
        {"type": "transcript", "text": 7},
        {"type": "transcript", "text": "a", "role": "system"},
        {"type": "transcript", "text": "a", "role": 7},
        {"type": "transcript", "text": "a", "role": ["user"]},
        {"type": "token"},
        {"type": "word_timing", "text": "a"},
        {"type": 7, "text": "a"},
        {"type": ["transcript"], "text": "a"},
        {"type": {}},
        {},
    ],
    ids=json.dumps,
)
def test_what_is_not_of_the_vocabulary_is_a_message(word: dict[str, Any]) -> None:
    assert hear(word) == [Message(word)]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("turn on the light", "turn on the light"),
        ("[1, 2]", [1, 2]),
        ("7", 7),
        ("null", None),
        ('{"a": NaN}', '{"a": NaN}'),
        ('{"a": -Infinity}', '{"a": -Infinity}'),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 10_000, "9" * 10_000),
        ("", ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_json_object_is_a_message(text: str, data: Any) -> None:
    assert hear(text) == [Message(data)]


def test_fatal_errors_end_the_connection() -> None:
    with pytest.raises(ServiceError, match="go away") as caught:
        hear({"type": "error", "message": "go away", "code": "closed", "fatal": True})
    assert (caught.value.code, caught.value.fatal) == ("closed", True)
    with pytest.raises(ServiceError, match="go away"):
        hear({"type": "error", "error": {"message": "go away", "fatal": True}})
    for fatal in ("true", "Yes", 1):
        with pytest.raises(ServiceError, match="go away"):
            hear({"type": "error", "message": "go away", "fatal": fatal})


@pytest.mark.parametrize("rate", [0, -1, 3999, 192001, 10**400, 1e300, "1", "inf"])
def test_a_rate_that_cannot_be_played_is_an_error(rate: float) -> None:
    with pytest.raises(RemoteProtocolError, match="4000 to 192000") as caught:
        hear({"type": "ready", "sample_rate": rate})
    assert len(str(caught.value)) < 200


def test_an_infinite_rate_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError, match="sample_rate of inf"):
        hear('{"type":"ready","sample_rate":1e999}')


@pytest.mark.parametrize("channels", [0, 3, "6"])
def test_channels_that_cannot_be_played_are_an_error(channels: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="1 or 2 channels"):
        hear({"type": "ready", "channels": channels})


@pytest.mark.parametrize("kind", ["ready", "metadata"])
@pytest.mark.parametrize("name", ["sample_rate", "channels"])
@pytest.mark.parametrize("value", ["fast", True, [24000], {"hz": 24000}, "nan", ""])
def test_a_greeting_with_a_wrong_value_is_a_greeting(kind: str, name: str, value: Any) -> None:
    """Whoever awaits it does not wait for ever, and is told what was wrong."""
    session = begin(await_ready=True)
    [error] = tell(session, {"type": kind, name: value})
    assert isinstance(error, ServerError)
    assert name in error.message
    assert json.dumps(value) in error.message
    assert "16000 Hz mono" in error.message
    assert session.ready


def test_own_field_names() -> None:
    settings = {"text_keys": ("words",), "final_keys": ("done",)}
    assert hear({"words": "a", "done": False}, **settings) == [Transcript("user", "a", False)]
    assert hear({"text": "a"}, **settings) == [Message({"text": "a"})]


# -- sound -------------------------------------------------------------------------------------


def test_the_greeting_tells_the_rate_of_the_sound() -> None:
    events = hear(b"\1\2", {"type": "ready", "sample_rate": 24000}, b"\3\4", {"type": "ready"}, b"\5\6")
    assert events == [
        AudioReceived(b"\1\2", AudioFormat(16000)),
        AudioReceived(b"\3\4", AudioFormat(24000)),
        AudioReceived(b"\5\6", AudioFormat(24000)),
    ]


def quiet(pcm: bytes) -> bytes:
    """Samples with no byte that could begin a file."""
    return bytes(byte & 0x1F for byte in pcm)


@given(
    pcm=st.binary(max_size=200).map(quiet),
    cuts=st.lists(st.integers(0, 200)),
    channels=st.sampled_from([1, 2]),
)
def test_messages_may_be_cut_anywhere(pcm: bytes, cuts: list[int], channels: int) -> None:
    """No cut shifts the samples by a byte, and all but an unfinished last sample arrives."""
    edges = [0, *sorted(min(cut, len(pcm)) for cut in cuts), len(pcm)]
    sound = AudioFormat(16000, channels)
    pieces = [pcm[start:end] for start, end in itertools.pairwise(edges)]
    events = hear(*pieces, output_format=sound)
    received = b""
    for event in events:
        assert isinstance(event, AudioReceived)
        assert event.pcm
        assert len(event.pcm) % sound.bytes_per_sample == 0
        received += event.pcm
    assert received == pcm[: len(pcm) - len(pcm) % sound.bytes_per_sample]


@pytest.mark.parametrize("end", ["response_done", "interrupted", "response_started", "ready"])
def test_an_unfinished_sample_does_not_shift_the_next_answer(end: str) -> None:
    events = hear(b"\1\2\3", {"type": end}, b"\4\5")
    assert [event.pcm for event in events if isinstance(event, AudioReceived)] == [b"\1\2", b"\4\5"]


def test_numbers_may_be_text_and_channels_count() -> None:
    greeting = {"type": "ready", "sample_rate": "24000", "channels": 2}
    assert hear(greeting, bytes(8)) == [AudioReceived(bytes(8), AudioFormat(24000, 2))]
    again = {"type": "metadata", "channels": "1"}
    assert hear(greeting, again, bytes(8)) == [AudioReceived(bytes(8), AudioFormat(24000, 1))]


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "token", "text": "caf\u00e9"}',
        ' \r\n{"type": "token",\n "text": "caf\u00e9"}\n',
        '\ufeff{"type": "token", "text": "caf\u00e9"}',
        '{"type":"token","text":"caf\u00e9"}',
    ],
)
def test_json_in_a_binary_message_is_json(text: str) -> None:
    assert hear(text.encode(), await_ready=True) == [Token("caf\u00e9")]


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (b'[{"type": "token"}]', [{"type": "token"}]),
        (b'{"type": "token", "text": "broken off he', '{"type": "token", "text": "broken off he'),
        (b'{"type": "a", "n": 1}\n{"type": "b", "n": 2}', '{"type": "a", "n": 1}\n{"type": "b", "n": 2}'),
    ],
)
def test_other_json_in_a_binary_message_is_no_sound(message: bytes, data: Any) -> None:
    assert hear(message) == [Message(data)]


@pytest.mark.parametrize("pcm", [b"{}", b"[]", b"{\0" * 320, b"{}" + bytes(638), b"[1" * 8 + b"\xff]"])
def test_sound_that_begins_like_json_is_sound(pcm: bytes) -> None:
    [event] = hear(pcm)
    assert isinstance(event, AudioReceived)
    assert event.pcm == pcm[: len(pcm) // 2 * 2]


def test_a_wav_file_is_decoded_however_it_is_cut() -> None:
    for size in (1, 7, 1000):
        events = hear(*(WAV[start : start + size] for start in range(0, len(WAV), size)))
        assert {event.format for event in events if isinstance(event, AudioReceived)} == {AudioFormat(22050)}
        assert b"".join(event.pcm for event in events if isinstance(event, AudioReceived)) == SAMPLES


@pytest.mark.parametrize("compressed", [b"OggS\0\2" + bytes(40), b"fLaC\0\0\0\x22" + bytes(40)])
def test_a_file_that_cannot_be_decoded_is_silence_and_told_once(compressed: bytes) -> None:
    session = begin()
    [error] = tell(session, compressed)
    assert isinstance(error, ServerError)
    assert re.search(r"\((Ogg|FLAC)\).*raw 16-bit PCM", error.message)
    assert tell(session, b"\x7f\x41" * 40) == [], "more of the same file"
    tell(session, {"type": "response_started"})
    assert tell(session, b"\1\2") == [AudioReceived(b"\1\2", AudioFormat(16000))]


def test_an_empty_message_is_no_sound() -> None:
    assert hear(b"", b"\1") == []


# -- answers -----------------------------------------------------------------------------------


def answers(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Transcript)]


def test_an_answer_without_text_is_put_together_from_its_tokens() -> None:
    events = hear(
        {"type": "response_started"},
        {"type": "token", "text": "It is "},
        {"type": "token", "text": "on."},
        {"type": "response_done"},
    )
    assert events[-2:] == [Transcript("assistant", "It is on."), ResponseDone()]


def test_tokens_of_one_answer_do_not_get_into_the_next() -> None:
    token, done = {"type": "token", "text": "a"}, {"type": "response_done"}
    assert answers(hear(token, done, done, token, done)) == ["a", "a"]
    assert answers(hear(token, {"type": "response_started"}, done)) == []


def test_an_answer_that_the_server_told_as_transcript_is_not_told_twice() -> None:
    line = {"type": "transcript", "role": "assistant", "text": "It is on."}
    assert answers(hear(line, {"type": "response_done", "text": "It is on."})) == ["It is on."]
    assert answers(hear({**line, "final": False}, {"type": "response_done", "text": "b"})) == [
        "It is on.",
        "b",
    ]


def test_an_interrupted_answer_is_remembered_as_far_as_it_went() -> None:
    events = hear({"type": "token", "text": "It is "}, {"type": "interrupted"}, {"type": "response_done"})
    assert events == [Token("It is "), Interrupted(), Transcript("assistant", "It is "), ResponseDone()]


def test_an_endless_answer_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_module, "_LONGEST_ANSWER", 10)
    session = begin()
    for _ in range(100):
        assert tell(session, {"type": "token", "text": "abcd"}) == [Token("abcd")]
    assert answers(tell(session, {"type": "response_done"})) == ["abcd" * 3]


def test_after_an_interruption_the_rest_of_the_answer_is_not_heard() -> None:
    session = begin()
    tell(session, {"type": "response_started"})
    session.send(InterruptResponse())
    assert tell(session, b"\1\1") == []
    assert tell(session, {"type": "interrupted"}) == [Interrupted()]
    assert tell(session, b"\2\2") == [AudioReceived(b"\2\2", AudioFormat(16000))]


@pytest.mark.parametrize("word", ["response_done", "response_started"])
def test_a_new_answer_is_heard_again(word: str) -> None:
    session = begin()
    tell(session, {"type": "token", "text": "a"})
    session.send(InterruptResponse())
    session.send(InterruptResponse())
    assert tell(session, b"\1\1") == []
    tell(session, {"type": word})
    assert tell(session, b"\2\2") == [AudioReceived(b"\2\2", AudioFormat(16000))]


SOUND, TOKEN = b"\2\2", {"type": "token", "text": "a"}
HEARD = [AudioReceived(SOUND, AudioFormat(16000))]


@pytest.mark.parametrize(
    "turn",
    [
        SendText("And you?"),
        StartTurn(),
        EndTurn(),
        {"type": "speech_started"},
        {"type": "speech_stopped"},
        {"type": "transcript", "text": "And you?"},
        {"text": "And you?"},
        {"type": "response_started"},
    ],
    ids=str,
)
def test_a_new_turn_is_heard_although_the_server_only_sends_tokens_and_sound(turn: Any) -> None:
    session = begin()
    for _ in range(2):
        assert tell(session, TOKEN) == [Token("a")]
        assert tell(session, SOUND) == HEARD
        session.send(InterruptResponse())
        assert tell(session, TOKEN) == [Token("a")]
        assert tell(session, SOUND) == []
        if isinstance(turn, dict):
            tell(session, turn)
        else:
            session.send(turn)
        assert tell(session, SOUND) == HEARD


def test_silence_of_the_server_ends_the_interrupted_answer() -> None:
    """Where nobody says that a turn begins: the user just speaks."""
    session = begin()
    tell(session, TOKEN)
    session.send(InterruptResponse())
    for _ in range(3):
        session.send(SendAudio(bytes(32000 + 16000), 0.0))
        assert tell(session, SOUND) == [], "it is still the same answer"
    session.send(SendAudio(bytes(64000), 0.0))
    assert tell(session, SOUND) == HEARD


def test_a_server_that_says_where_answers_begin_is_believed() -> None:
    """What it had sent before it read the next question is still the old answer."""
    session = begin()
    tell(session, {"type": "response_started"})
    session.send(InterruptResponse())
    session.send(SendText("And you?"))
    session.send(SendAudio(bytes(320_000), 0.0))
    assert tell(session, SOUND) == []
    tell(session, {"type": "response_started"})
    assert tell(session, SOUND) == HEARD


# -- the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("resumes", [True, False])
def test_what_was_never_finished_is_told_at_the_end(resumes: bool) -> None:
    session = begin()
    tell(session, {"type": "partial", "text": "turn"})
    tell(session, {"type": "partial", "text": "turn on"})
    tell(session, {"type": "partial", "text": "It is", "role": "assistant"})
    assert session.last_words(resumes=resumes) == [
        Transcript("user", "turn on"),
        Transcript("assistant", "It is"),
    ]
    assert session.last_words(resumes=False) == []


def test_an_answer_that_was_only_told_in_part_is_told_when_it_is_done() -> None:
    partial = {"type": "partial", "text": "It is", "role": "assistant"}
    assert answers(hear(partial, {"type": "response_done"})) == ["It is", "It is"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "having sent nothing;"),
        (('{"type": "session.created"}', "?"), "session.created"),
    ],
)
def test_a_server_of_another_language_that_closes_in_good_order(words: Sequence[str], reason: str) -> None:
    session = begin()
    for word in words:
        session.receive(word)
    closed = ConnectionClosed(1000)
    assert session.classify(closed) is closed
    [error] = session.last_words(resumes=False)
    assert isinstance(error, ServerError)
    assert reason in error.message
    assert "plain" in error.message


@pytest.mark.parametrize("word", [SOUND, TOKEN, {"type": "ready"}, {"text": "a"}])
def test_a_server_that_was_understood_owes_no_reason(word: Any) -> None:
    session = begin()
    tell(session, word)
    session.classify(ConnectionClosed(1000))
    assert session.last_words(resumes=False) == []
    for unasked in (ConnectionClosed(1000, by_peer=False), ConnectionClosed(1011)):
        session = begin()
        session.classify(unasked)
        assert session.last_words(resumes=False) == []


def test_a_server_that_does_not_tell_its_answers_apart_is_heard_on() -> None:
    session = begin()
    session.send(InterruptResponse())
    assert tell(session, b"\1\1") == [AudioReceived(b"\1\1", AudioFormat(16000))]


# -- what we say -------------------------------------------------------------------------------


def test_commands_in_the_servers_words() -> None:
    session = begin()
    for command in (
        SendAudio(b"\1\2", 0.0),
        SendText("caf\u00e9"),
        StartTurn(),
        EndTurn(),
        InterruptResponse(),
        TruncateResponse(1234),
        SendMessage({"type": "x"}),
        SendMessage(b"\3"),
    ):
        session.send(command)
    assert said(session) == [
        b"\1\2",
        {"type": "text", "text": "caf\u00e9"},
        {"type": "start_of_turn"},
        {"type": "end_of_turn"},
        {"type": "interrupt"},
        {"type": "truncate", "heard_ms": 1234},
        {"type": "x"},
        b"\3",
    ]
    session.send(SendMessage('{"eof" : 1}'))
    assert session.messages_to_send() == ['{"eof" : 1}']


def test_messages_are_ascii() -> None:
    session = begin()
    session.send(SendText("\ud800 and \N{SNOWMAN}"))
    [message] = session.messages_to_send()
    assert isinstance(message, str)
    assert message.isascii()


def test_no_hello_unless_asked_for() -> None:
    assert said(begin()) == []


def test_hello() -> None:
    assert said(begin(hello={})) == [{"type": "hello", "rate": 16000, "channels": 1}]
    assert said(begin(hello={"lang": "de"}, input_format=AudioFormat(8000, 2))) == [
        {"type": "hello", "rate": 8000, "channels": 2, "lang": "de"}
    ]
    assert said(begin(hello={"type": "config"})) == [{"type": "config", "rate": 16000, "channels": 1}]
    assert begin(hello='{"config" : {}}').messages_to_send() == ['{"config" : {}}']


def test_resume_sends_the_history() -> None:
    history = History(turns=(Turn("user", "my name is Ada"), Turn("assistant", "Hello Ada")))
    [hello] = said(begin(history, resume=True))
    assert hello == {
        "type": "hello",
        "rate": 16000,
        "channels": 1,
        "history": [
            {"role": "user", "text": "my name is Ada"},
            {"role": "assistant", "text": "Hello Ada"},
        ],
    }
    assert said(begin(resume=True, hello={"a": 1}))[0]["history"] == []


def test_ready_at_once_or_when_greeted() -> None:
    assert begin().ready
    session = begin(await_ready=True)
    assert not session.ready
    tell(session, {"type": "speech_started"})
    tell(session, {"type": "metadata"})
    assert not session.ready
    with pytest.raises(LocalProtocolError, match="SendText"):
        session.send(SendText("a"))
    tell(session, {"type": "ready"})
    assert session.ready


def test_finish_without_a_last_message() -> None:
    session = begin()
    session.finish()
    assert session.finished
    assert said(session) == []


@pytest.mark.parametrize("eof", [{"type": "end_of_stream"}, '{"eof" : 1}'])
def test_finish_awaits_the_servers_last_words(eof: Any) -> None:
    session = begin(eof=eof)
    tell(session, {"type": "finished"})
    session.finish()
    assert not session.finished
    assert session.messages_to_send() == [
        eof if isinstance(eof, str) else json.dumps(eof, separators=(",", ":"))
    ]
    assert tell(session, {"type": "transcript", "text": "the end"}) == [Transcript("user", "the end")]
    assert not session.finished
    tell(session, {"type": "finished"})
    assert session.finished


def test_finish_before_the_greeting_says_nothing() -> None:
    session = begin(eof={"type": "end_of_stream"}, await_ready=True)
    session.finish()
    assert session.finished
    assert said(session) == []


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8765",
        "http://localhost",
        "ws://",
        "ws:///talk",
        "ws://host:port/",
        "ws://host:0/",
        "ws://host:70000/",
        "ws://[::1/",
        "ws://host/#part",
        "",
        None,
        b"ws://host/",
    ],
)
def test_wrong_urls(url: Any) -> None:
    with pytest.raises(ConfigError, match=r"Plain\.url"):
        Plain(url)


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@host/?key=hunter2", "user:hunter2@host", "hunter2", "//:hunter2@h"]
)
def test_a_wrong_url_is_not_shown_whole(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Plain(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_format", 16000),
        ("output_format", None),
        ("subprotocols", "chat"),
        ("text_keys", "text"),
        ("final_keys", (1,)),
        ("headers", {"X": 1}),
        ("hello", {"a": float("nan")}),
        ("hello", {"a": object()}),
        ("eof", {"a": {1, 2}}),
    ],
)
def test_wrong_settings(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"Plain\.{name}"):
        Plain(URL, **{name: value})


def test_a_hello_word_for_word_cannot_take_the_history() -> None:
    with pytest.raises(ConfigError, match=r"Plain\.hello"):
        Plain(URL, hello="{}", resume=True)


def test_settings_are_copied() -> None:
    headers, hello = {"a": "b"}, {"list": [1]}
    plain = Plain(URL, headers=headers, hello=hello, subprotocols=["x"])
    headers["a"] = "c"
    hello["list"].append(2)
    assert plain.request().headers == {"a": "b"}
    assert plain.request().subprotocols == ("x",)
    assert said(plain.begin(None, History()))[0]["list"] == [1]


def test_plain_compares_hashes_and_varies() -> None:
    plain = Plain(URL, headers={"a": "b"}, hello={"x": 1})
    assert plain == replace(plain)
    assert hash(plain) == hash(replace(plain))
    assert replace(plain, resume=True) != plain


def test_repr() -> None:
    assert repr(Plain("ws://user:pw@[::1]:8765/talk?key=k", output_format=AudioFormat(24000))) == (
        "Plain('ws://[::1]:8765/talk', 16000 Hz mono int16 up, 24000 Hz mono int16 down)"
    )


# -- the reference -----------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "plain.md").read_text(encoding="utf-8")


def test_the_conversation_in_the_reference_is_understood() -> None:
    said_by_us = [line.split(maxsplit=1)[1] for line in PAGE.splitlines() if line.startswith('client  {"')]
    heard = [line.split(maxsplit=1)[1] for line in PAGE.splitlines() if line.startswith('server  {"')]
    session = begin(resume=True, eof={"type": "end_of_stream"})
    events = [event for message in heard[:-1] for event in session.receive(message)]
    session.finish()
    session.receive(heard[-1])
    assert session.finished
    assert session.messages_to_send() == said_by_us
    assert [str(event) for event in events if isinstance(event, Transcript | Token)] == [
        "what time", "what time is it", "It is ", "noon.", "It is noon."
    ]  # fmt: skip
    assert not any(isinstance(event, Message) for event in events)


def test_the_reference_knows_every_word() -> None:
    rows = [json.loads(cell) for cell in re.findall(r"`(\{[^`…]*\})`", PAGE.replace('"…"', '"a"'))]
    told = {row["type"] for row in rows}
    server_kinds = {kind for kind in plain_module._KINDS if kind}
    assert server_kinds <= told | {"transcription", "partial", "final"}
    session = begin()
    for command in (SendText("a"), StartTurn(), EndTurn(), InterruptResponse(), TruncateResponse(1)):
        session.send(command)
    assert {message["type"] for message in said(session)} <= told


def test_the_ways_to_say_a_transcript_in_the_reference() -> None:
    lines = PAGE.split("```json\n")[1].split("```")[0].splitlines()
    assert hear(*lines) == [
        Transcript("user", "turn on", False),
        Transcript("user", "turn on", False),
        Transcript("user", "turn on the light", True),
        Transcript("user", "turn on the light", True),
    ]


def test_a_url_without_its_scheme_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"did you mean ws://localhost:8765\?"):
        Plain("localhost:8765")
    with pytest.raises(ConfigError) as caught:
        Plain("user:secret@host")
    assert "secret" not in str(caught.value)


def test_golden() -> None:
    dialect = Plain(
        URL,
        input_format=AudioFormat(8000),
        hello={"client": "kiosk"},
        resume=True,
        await_ready=True,
        eof={"type": "eof"},
    )
    assert list(replay(dialect, "plain")) == [
        Turn("user", "turn on the light"),
        Turn("assistant", "It is on."),
        Turn("user", "And the radio?"),
        Turn("assistant", "The radio"),
        Turn("assistant", "Never mind."),
        Turn("user", "good night"),
        Turn("user", "sleep well"),
    ]
