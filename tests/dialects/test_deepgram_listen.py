"""Deepgram's live transcription: words put together, times that go on, nothing said lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.commands import EndTurn, SendAudio, SendMessage
from voicews.config import AudioFormat
from voicews.dialects import DeepgramListen, Dialect, Session
from voicews.errors import ConfigError, ConnectionClosed, HandshakeRejected, ServiceError, Unsupported
from voicews.events import Event, SpeechStarted, SpeechStopped, Transcript, Word
from voicews.history import History, Turn

URL = "ws://localhost:8765/v1/listen"
FRAME = 0.02
TONE = b"\1\0" * 320
SILENCE = bytes(640)


def results(
    text: str, start: float = 0.0, duration: float = 1.0, *, final: bool = True, **more: Any
) -> dict[str, Any]:
    words = more.pop("words", [])
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "duration": duration,
        "is_final": final,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.9, "words": words}]},
        "metadata": {
            "request_id": "r",
            "model_info": {"name": "nova-3", "version": "v", "arch": "a"},
            "model_uuid": "u",
        },
        **more,
    }


def metadata(duration: float) -> dict[str, Any]:
    return {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": "r",
        "sha256": "0",
        "created": "2026-11-22T12:00:00Z",
        "duration": duration,
        "channels": 1,
    }


UTTERANCE_END: dict[str, Any] = {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.0}
SPEECH_STARTED: dict[str, Any] = {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.1}
ERROR: dict[str, Any] = {"type": "Error", "variant": "SchemaError", "description": "what?", "message": "{}"}
WORDS: list[dict[str, Any]] = [
    results("hello", final=False),
    results(
        "hello",
        speech_final=True,
        words=[{"word": "hello", "punctuated_word": "Hello", "start": 0.1, "end": 0.4, "confidence": 0.9}],
    ),
    results("", from_finalize=True),
    SPEECH_STARTED,
    UTTERANCE_END,
    metadata(1.0),
    ERROR,
    {"type": "ConfigureSuccess", "request_id": "r", "keyterms": []},
    {"type": "ConfigureFailure", "request_id": "r", "code": "CONFIGURE_INTERNAL_ERROR", "description": "no"},
]


class TestDeepgramListenContract(DialectContract):
    def dialect(self) -> Dialect:
        return DeepgramListen(
            key="key-hunter2", headers={"X-Token": "header-hunter2"}, url=f"{URL}?token=query-hunter2"
        )

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return ()

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS

    def said_sound(self, message: str | bytes) -> bytes:
        return message if isinstance(message, bytes) else b""

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        return None

    @property
    def secrets(self) -> Sequence[str]:
        return "key-hunter2", "header-hunter2", "query-hunter2"


def begin(previous: Session | None = None, **settings: Any) -> Session:
    return DeepgramListen(key="", url=URL, **settings).begin(previous, History())


def tell(session: Session, *words: dict[str, Any]) -> list[Event]:
    return [event for word in words for event in session.receive(json.dumps(word))]


def speak(session: Session, seconds: float, pcm: bytes = TONE, *, since: float = 100.0) -> list[str | bytes]:
    """Frames of 20 ms, the first of which began at ``since`` on the clock on the wall."""
    said = []
    for number in range(round(seconds / FRAME)):
        session.send(SendAudio(pcm, since + (number + 1) * FRAME))
        said += session.messages_to_send()
    return said


def said(session: Session) -> list[Any]:
    return [json.loads(m) if isinstance(m, str) else m for m in session.messages_to_send()]


def finals(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Transcript) and event.final]


def test_a_whole_conversation() -> None:
    history = replay(DeepgramListen(key="", url=URL), "deepgram_listen")
    assert history.turns == (
        Turn("user", "Turn on the light."),
        Turn("user", "Please."),
        Turn("user", "And now goodbye."),
        Turn("user", "Thank you."),
    )


# -- utterances --------------------------------------------------------------------------------


def test_a_result_without_a_voice_before_it_begins_an_utterance() -> None:
    assert tell(begin(), results("a", final=False), SPEECH_STARTED, results("ab", speech_final=True)) == [
        SpeechStarted(),
        Transcript("user", "a", final=False),
        SpeechStopped(),
        Transcript("user", "ab"),
    ]


def test_loud_rooms_end_an_utterance_without_a_pause() -> None:
    assert finals(tell(begin(), results("a"), results("b", 1.0), UTTERANCE_END)) == ["a b"]


def test_a_cough_is_no_utterance() -> None:
    assert tell(begin(), SPEECH_STARTED, results("", speech_final=True)) == [SpeechStarted(), SpeechStopped()]
    assert tell(begin(), SPEECH_STARTED, UTTERANCE_END) == [SpeechStarted(), SpeechStopped()]


def test_the_end_of_the_last_utterance_does_not_end_the_next() -> None:
    session = begin()
    tell(session, results("a", speech_final=True), {**SPEECH_STARTED, "timestamp": 2.0})
    assert tell(session, UTTERANCE_END) == []
    assert tell(session, results("b", 2.0, speech_final=True)) == [SpeechStopped(), Transcript("user", "b")]


def test_the_end_of_an_utterance_need_not_tell_its_last_word() -> None:
    assert finals(tell(begin(), results("a"), {**UTTERANCE_END, "last_word_end": -1})) == ["a"]
    end = {"type": "UtteranceEnd"}
    assert tell(begin(), SPEECH_STARTED, end) == [SpeechStarted(), SpeechStopped()]


def test_an_utterance_that_never_ends_does_not_fill_the_memory() -> None:
    session = begin()
    texts = finals(tell(session, *[results("a" * 999, n) for n in range(50)]))
    assert [len(text) for text in texts] == [20_999, 20_999]


def test_channels_are_kept_apart() -> None:
    session = begin(input_format=AudioFormat(16000, 2), options={"multichannel": True})
    left: dict[str, Any] = {"channel_index": [0, 2]}
    right: dict[str, Any] = {"channel_index": [1, 2]}
    heard = tell(
        session,
        results("a", **left),
        results("x", **right),
        results("b", 1.0, speech_final=True, **left),
        results("y", 1.0, speech_final=True, **right),
    )
    assert finals(heard) == ["a b", "x y"]


@pytest.mark.parametrize("index", [7, -1, "left", None, [], [[0]], [True], [9], [-1]])
def test_a_channel_that_does_not_exist_is_the_first(index: Any) -> None:
    assert finals(tell(begin(), results("a", channel_index=index, speech_final=True))) == ["a"]


@pytest.mark.parametrize(
    "channel", [{}, None, {"alternatives": []}, {"alternatives": [{}]}, {"alternatives": [{"transcript": 7}]}]
)
def test_results_without_words_are_a_message(channel: Any) -> None:
    [event] = tell(begin(), {**results("a"), "channel": channel})
    assert type(event).__name__ == "Message"


# -- the end of a turn, and of all -------------------------------------------------------------------


def test_finalize_ends_a_turn_although_the_server_does_not_mark_it() -> None:
    """It does not where it had little to finish; then what is heard up to there is the turn."""
    session = begin()
    speak(session, 1.0)
    tell(session, results("a", 0.0, 0.6))
    session.send(EndTurn())
    assert said(session) == [{"type": "Finalize"}]
    speak(session, 0.2, SILENCE)
    assert finals(tell(session, results("b", 0.6, 0.2))) == []
    assert finals(tell(session, results("", 0.8, 0.2))) == ["a b"]
    assert finals(tell(session, results("c", 1.0, 0.2))) == []


def test_all_that_was_heard_is_told_at_the_end() -> None:
    session = begin()
    speak(session, 1.0)
    tell(session, results("a", 0.0, 0.5))
    session.finish()
    assert said(session) == [{"type": "CloseStream"}]
    assert not session.finished
    assert finals(tell(session, metadata(0.5))) == ["a"]
    assert session.finished


def test_a_guess_is_told_at_the_end_if_the_server_makes_no_more_of_it() -> None:
    session = begin()
    speak(session, 1.0)
    tell(session, results("turn", 0.0, 0.5), results("on the", 0.5, 0.5, final=False))
    session.finish()
    assert finals(tell(session, metadata(1.0))) == ["turn on the"]
    assert session.last_words(resumes=False) == []


def test_what_was_said_at_last_is_final_whatever_ends_the_connection() -> None:
    session = begin(input_format=AudioFormat(16000, 2), options={"multichannel": True})
    tell(
        session,
        results("a", channel_index=[0, 2], words=[word("a", 0.1, 0.2)]),
        results("b", 1.0, final=False, channel_index=[0, 2], words=[word("b", 1.1, 1.2)]),
        results("x", final=False, channel_index=[1, 2]),
    )
    told = session.last_words(resumes=False)
    assert finals(told) == ["a b", "x"]
    assert [one.text for one in words(told)] == ["a", "b"]
    assert session.last_words(resumes=False) == []


@pytest.mark.parametrize("replay", [0.0, 10.0])
def test_a_guess_goes_on_after_a_reconnect(replay: float) -> None:
    lost = begin(replay=replay)
    speak(lost, 1.0)
    tell(lost, results("turn", 0.0, 0.5), results("on", 0.5, 0.5, final=False))
    assert lost.last_words(resumes=True) == []
    assert finals(begin(lost, replay=replay).last_words(resumes=False)) == ["turn on"]
    heard = tell(begin(lost, replay=replay), results("on the light", 0.0, 1.0, speech_final=True))
    assert finals(heard) == ["turn on the light" if replay else "turn on on the light"]


def test_a_guess_that_the_server_takes_back_is_not_told() -> None:
    session = begin()
    tell(session, results("hm", final=False), results("", speech_final=True))
    assert session.last_words(resumes=False) == []


@pytest.mark.parametrize("key", ["start", "duration"])
def test_one_impossible_time_costs_neither_the_replay_nor_the_turn(key: str) -> None:
    session = begin()
    speak(session, 1.0)
    session.send(EndTurn())
    session.messages_to_send()
    assert finals(tell(session, {**results("turn on", 0.0, 0.5), key: 1e14})) == []
    assert finals(tell(session, results("the light", 0.5, 0.5))) == ["turn on the light"]
    lost = begin()
    speak(lost, 1.0)
    tell(lost, {**results("turn on", 0.0, 0.5), key: 1e14})
    assert said(begin(lost)) == [TONE] * 50


@pytest.mark.parametrize("key", ["is_final", "speech_final", "from_finalize"])
@pytest.mark.parametrize(("written", "true"), [("true", True), (1, True), ("false", False), (0, False)])
def test_truth_may_be_written_otherwise(key: str, written: Any, true: bool) -> None:
    heard = tell(begin(), results("a", final=False) | {key: written}, UTTERANCE_END)
    assert finals(heard) == (["a"] if true else [])


def test_servers_that_do_not_know_finalize() -> None:
    dialect = DeepgramListen(key="", url=URL, finalize=False)
    session = dialect.begin(None, History())
    assert EndTurn not in dialect.accepts
    with pytest.raises(Unsupported):
        session.send(EndTurn())
    assert said(session) == []


def test_a_refusal_of_finalize_says_what_to_do() -> None:
    session, refused = begin(), ConnectionClosed(4400, "Unsupported message type: Finalize")
    assert session.classify(refused) is refused
    session.send(EndTurn())
    error = session.classify(refused)
    assert isinstance(error, ServiceError)
    assert error.fatal
    assert "finalize=False" in error.message
    assert "Unsupported message type" in error.message
    assert error.__cause__ is refused
    assert session.classify(ConnectionClosed(4401)).code == 4401  # type: ignore[attr-defined]


def test_a_server_that_just_closes_has_told_all_before() -> None:
    session = begin()
    speak(session, 1.0)
    session.finish()
    assert finals(tell(session, results("a", 0.0, 0.5), results("b", 0.5, 0.49))) == ["a b"]


def test_a_greeting_with_metadata_is_not_the_end() -> None:
    session = begin()
    tell(session, metadata(0.0))
    speak(session, 1.0)
    session.finish()
    tell(session, metadata(0.0))
    assert not session.finished
    tell(session, metadata(1.0))
    assert session.finished


def test_nothing_said_is_nothing_to_wait_for() -> None:
    session = begin()
    session.finish()
    tell(session, metadata(0.0))
    assert session.finished


# -- signs of life, and silence ------------------------------------------------------------------


def test_a_sign_of_life_only_where_nothing_else_is_said() -> None:
    session = begin()
    session.tick(0.0)
    session.tick(3.0)
    assert said(session) == [{"type": "KeepAlive"}]
    speak(session, FRAME)
    session.tick(6.0)
    assert said(session) == []
    session.send(SendMessage('{"type":"Configure"}'))
    session.messages_to_send()
    session.tick(9.0)
    assert said(session) == []
    session.tick(12.0)
    assert said(session) == [{"type": "KeepAlive"}]


def test_long_silence_is_not_sent() -> None:
    session = begin(pause_after=2.0)
    assert len(speak(session, 10.0, SILENCE)) == 100
    session.tick(0.0)
    session.tick(3.0)
    assert said(session) == [{"type": "KeepAlive"}]
    assert speak(session, 0.04) == [TONE, TONE]
    assert len(speak(session, 2.0, SILENCE)) == 100


def test_all_silence_is_sent_if_wanted() -> None:
    assert len(speak(begin(pause_after=None), 10.0, SILENCE)) == 500


# -- time --------------------------------------------------------------------------------------------


def word(text: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return {"word": text, "start": start, "end": end, "confidence": 0.5, **more}


def words(events: Sequence[Event]) -> list[Word]:
    return [one for event in events if isinstance(event, Transcript) and event.final for one in event.words]


def test_words_have_their_times() -> None:
    heard = tell(
        begin(),
        results("hello", 0.0, 1.0, words=[word("hello", 0.1, 0.4, punctuated_word="Hello", speaker=1)]),
        results("you", 1.0, 1.0, speech_final=True, words=[word("you", 1.2, 1.5), {"word": "?"}, 7]),
    )
    assert words(heard) == [Word("Hello", 0.1, 0.4, 0.5, 1), Word("you", 1.2, 1.5, 0.5)]


def time_of_a_word(session: Session, position: float) -> float:
    heard = tell(
        session, results("a", position, 0.1, speech_final=True, words=[word("a", position, position)])
    )
    [one] = words(heard)
    return one.start


def test_times_go_on_over_a_reconnect() -> None:
    lost = begin()
    speak(lost, 3.0, since=100.0)
    tell(lost, results("a", 0.0, 2.0, speech_final=True))
    again = begin(lost)
    assert len(said(again)) == 50
    speak(again, 2.0, since=110.0)
    assert time_of_a_word(again, 0.5) == pytest.approx(2.5)
    assert time_of_a_word(again, 1.5) == pytest.approx(10.5)


def test_times_go_on_although_several_attempts_fail() -> None:
    session = begin()
    speak(session, 3.0, since=100.0)
    tell(session, results("a", 0.0, 3.0, speech_final=True))
    for _ in range(3):
        session = begin(session)
    speak(session, 1.0, since=104.0)
    assert said(begin(session)) == [TONE] * 50
    assert time_of_a_word(session, 0.5) == pytest.approx(4.5)


def test_times_go_on_over_silence_that_is_not_sent() -> None:
    session = begin(pause_after=1.0)
    speak(session, 1.0)
    speak(session, 9.0, SILENCE, since=101.0)
    speak(session, 1.0, since=110.0)
    assert time_of_a_word(session, 0.5) == pytest.approx(0.5)
    assert time_of_a_word(session, 2.5) == pytest.approx(10.5)
    again = begin(session, pause_after=1.0)
    assert len(said(again)) == 20
    speak(again, 1.0, since=120.0)
    assert time_of_a_word(again, 0.1) == pytest.approx(10.7)
    assert time_of_a_word(again, 0.6) == pytest.approx(20.2)


def test_a_file_read_faster_than_it_plays_has_its_own_time() -> None:
    lost = begin()
    for _ in range(100):
        lost.send(SendAudio(TONE, 100.0))
    tell(lost, results("a", 0.0, 2.0, speech_final=True))
    again = begin(lost)
    again.send(SendAudio(TONE, 100.1))
    assert time_of_a_word(again, 0.01) == pytest.approx(2.01)


@given(
    heard=st.lists(st.floats(0, 6), max_size=4),
    seconds=st.integers(0, 6),
    limit=st.sampled_from([0.0, 1.0, 10.0]),
)
def test_what_is_sent_again_is_what_was_not_heard(heard: list[float], seconds: int, limit: float) -> None:
    lost = begin(replay=limit)
    frames = [b"\1" + bytes([number % 256]) * 639 for number in range(seconds * 50)]
    for number, pcm in enumerate(frames):
        lost.send(SendAudio(pcm, number * FRAME))
    for until in heard:
        tell(lost, results("a", 0.0, min(until, seconds)))
    missing = min(limit, seconds - min(seconds, max(heard, default=0.0)))
    sent = said(begin(lost, replay=limit))
    assert abs(len(sent) - missing / FRAME) <= 1
    assert sent == frames[len(frames) - len(sent) :]


def test_an_unfinished_utterance_goes_on_after_a_reconnect() -> None:
    lost = begin()
    tell(lost, results("turn on"))
    again = begin(lost)
    assert tell(again, results("the light", speech_final=True)) == [
        SpeechStopped(),
        Transcript("user", "turn on the light"),
    ]
    assert finals(tell(lost, UTTERANCE_END)) == ["turn on"]


def test_the_session_of_another_dialect_is_not_taken_up() -> None:
    from voicews.dialects import Plain

    assert said(begin(Plain("ws://localhost").begin(None, History()))) == []


# -- settings ------------------------------------------------------------------------------------


def parameters(**settings: Any) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(DeepgramListen(key="", url=URL, **settings).request().url).query))


def test_everyday_settings() -> None:
    assert parameters() == {
        "model": "nova-3",
        "encoding": "linear16",
        "sample_rate": "16000",
        "channels": "1",
        "interim_results": "true",
        "vad_events": "true",
        "utterance_end_ms": "1000",
        "smart_format": "true",
    }


def test_further_settings() -> None:
    told = parameters(
        language="de",
        endpointing=False,
        utterance_end=None,
        interim_results=False,
        keyterms=["voicews"],
        options={"diarize_model": "latest", "tag": ["x"], "numerals": True, "version": 2},
    )
    assert told == parameters(interim_results=False, utterance_end=None) | {
        "language": "de",
        "endpointing": "false",
        "keyterm": "voicews",
        "diarize_model": "latest",
        "tag": "x",
        "numerals": "true",
        "version": "2",
    }


def test_a_list_is_said_word_by_word() -> None:
    url = DeepgramListen(key="", url=f"{URL}?a=b", keyterms=["x", "y z"]).request().url
    assert url.startswith(f"{URL}?a=b&")
    assert [value for name, value in parse_qsl(urlsplit(url).query) if name == "keyterm"] == ["x", "y z"]


def test_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "from-environment")
    assert DeepgramListen().request().headers == {"Authorization": "Token from-environment"}
    assert DeepgramListen(key="given", scheme="Bearer").request().headers == {"Authorization": "Bearer given"}
    assert DeepgramListen(key="", url=URL, headers={"X": "y"}).request().headers == {"X": "y"}
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    assert DeepgramListen(url=URL).request().headers == {}
    with pytest.raises(ConfigError, match="DEEPGRAM_API_KEY"):
        DeepgramListen()


def test_a_key_can_be_fresh_for_each_attempt() -> None:
    keys = iter(["one", "two"])
    dialect = DeepgramListen(key=lambda: next(keys), scheme="Bearer")
    assert [dialect.request().headers["Authorization"] for _ in range(2)] == ["Bearer one", "Bearer two"]
    with pytest.raises(ConfigError, match=r"DeepgramListen\.key"):
        DeepgramListen(key=lambda: "no key").request()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "http://localhost/"),
        ("scheme", "Basic"),
        ("model", ""),
        ("input_format", 16000),
        ("endpointing", True),
        ("endpointing", -1),
        ("utterance_end", 999),
        ("utterance_end", "1000"),
        ("keyterms", "voicews"),
        ("options", {"sample_rate": 8000}),
        ("options", {"tag": {"a": 1}}),
        ("finalize", "no"),
        ("replay", -1),
        ("pause_after", 0.9),
        ("headers", {"a": 1}),
    ],
)
def test_wrong_settings(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"DeepgramListen\.{name}"):
        DeepgramListen(key="", **{"url": URL, name: value})


def test_the_end_of_an_utterance_needs_partial_results() -> None:
    with pytest.raises(ConfigError, match="interim_results"):
        DeepgramListen(key="", url=URL, interim_results=False)


def test_settings_compare_hash_and_vary() -> None:
    dialect = DeepgramListen(key="", url=URL, options={"tag": "x"})
    assert dialect == replace(dialect)
    assert hash(dialect) == hash(replace(dialect))
    assert replace(dialect, model="nova-2") != dialect
    assert dialect.output_format == dialect.input_format
    assert repr(dialect) == f"DeepgramListen('{URL}', 'nova-3', 16000 Hz mono int16 up)"


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [4400, 4401])
def test_refusals_by_close_code_are_fatal(code: int) -> None:
    closed = ConnectionClosed(code, "sample_rate must be 16000")
    error = DeepgramListen(key="", url=URL).classify(closed)
    assert isinstance(error, ServiceError)
    assert (error.code, error.message, error.fatal) == (code, "sample_rate must be 16000", True)
    assert error.__cause__ is closed


@pytest.mark.parametrize(
    "error", [ConnectionClosed(1011, "net0001"), ConnectionClosed(1008), HandshakeRejected(402)]
)
def test_other_errors_mean_what_they_mean_everywhere(error: Any) -> None:
    assert DeepgramListen(key="", url=URL).classify(error) is error
