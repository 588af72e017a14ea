"""WhisperLive's language: the settings, the promises, and how its last words are got."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.backoff import Verdict, judge
from voicews.commands import SendAudio
from voicews.dialects import Dialect, Session, WhisperLive
from voicews.errors import ConfigError, ConnectionClosed, ServiceError, VoicewsError
from voicews.events import (
    Event,
    Message,
    ServerError,
    SessionExpiring,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    Word,
)
from voicews.history import History, Turn

READY = '{"uid": "voicews", "message": "SERVER_READY", "backend": "faster_whisper"}'
END = b"END_OF_AUDIO"
SECOND = b"\1\0" * 16000


def segment(start: float, end: float, text: str, **more: Any) -> dict[str, Any]:
    """As the server writes it: times are text."""
    return {"start": f"{start:.3f}", "end": f"{end:.3f}", "text": f" {text}", "completed": False, **more}


def done(start: float, end: float, text: str, **more: Any) -> dict[str, Any]:
    return segment(start, end, text, completed=True, **more)


WORDS: list[dict[str, Any]] = [
    {"uid": "voicews", "message": "SERVER_READY", "backend": "faster_whisper"},
    {"uid": "voicews", "message": "DISCONNECT"},
    {"uid": "voicews", "status": "WAIT", "message": 9.99},
    {"uid": "voicews", "status": "ERROR", "message": "Failed to load model: huge"},
    {"uid": "voicews", "status": "WARNING", "message": "Reverting to another backend"},
    {"uid": "voicews", "segments": [done(0, 1, "Turn on the light."), segment(1, 2, "And")]},
    {"uid": "voicews", "segments": [{"start": 0.0, "end": "x", "text": None, "words": [{}]}]},
]


class WhisperContract(DialectContract):
    @property
    def handshake(self) -> Sequence[str | bytes]:
        return (READY,)

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        return None

    @property
    def secrets(self) -> Sequence[str]:
        return "hunter2", "the-key"


class TestContract(WhisperContract):
    def dialect(self) -> Dialect:
        return WhisperLive("wss://me:hunter2@voice.example/?token=the-key", key="the-key", chunk=0.0)

    def said_sound(self, message: str | bytes) -> bytes:
        if not isinstance(message, bytes):
            return b""
        samples = struct.unpack(f"<{len(message) // 4}f", message)
        return struct.pack(f"<{len(samples)}h", *(int(sample * 32768) for sample in samples))


class TestContractOfInt16(WhisperContract):
    def dialect(self) -> Dialect:
        return WhisperLive("ws://me:hunter2@host", key="the-key", chunk=0.0, encoding="int16")

    def said_sound(self, message: str | bytes) -> bytes:
        return message if isinstance(message, bytes) else b""


def begin(**settings: Any) -> Session:
    settings = {"chunk": 0.0, "encoding": "int16", **settings}
    session = WhisperLive(**settings).begin(None, History())
    session.receive(READY)
    session.messages_to_send()
    return session


def is_over(session: Session) -> bool:
    return session.finished


def tell(session: Session, *segments: dict[str, Any]) -> list[Event]:
    return session.receive(json.dumps({"uid": "voicews", "segments": segments}))


# -- settings ------------------------------------------------------------------------------------


def test_the_settings_are_the_first_message() -> None:
    dialect = WhisperLive(
        model="tiny.en",
        language="en",
        task="translate",
        prompt="Ada, Grace",
        words=True,
        use_vad=False,
        same_output=5,
        encoding="int16",
        options={"hotwords": "voicews", "send_last_n_segments": 4},
    )
    [said] = dialect.begin(None, History()).messages_to_send()
    assert json.loads(said) == {
        "uid": "voicews",
        "language": "en",
        "task": "translate",
        "model": "tiny.en",
        "use_vad": False,
        "word_timestamps": True,
        "same_output_threshold": 5,
        "audio_format": "int16",
        "initial_prompt": "Ada, Grace",
        "hotwords": "voicews",
        "send_last_n_segments": 4,
    }


def test_the_key_is_a_bearer() -> None:
    assert WhisperLive(key="k").request().headers == {"Authorization": "Bearer k"}
    assert WhisperLive(key="k", headers={"Authorization": "x"}).request().headers == {"Authorization": "x"}
    assert WhisperLive().request().headers == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "localhost:9090"}, r"WhisperLive\.url"),
        ({"model": ""}, r"WhisperLive\.model"),
        ({"language": ""}, r"WhisperLive\.language"),
        ({"prompt": 7}, r"WhisperLive\.prompt"),
        ({"task": "sing"}, r"WhisperLive\.task is 'sing'"),
        ({"encoding": "uint8"}, r"WhisperLive\.encoding .* 'float32' or 'int16'"),
        ({"same_output": 0}, r"WhisperLive\.same_output"),
        ({"options": 7}, r"WhisperLive\.options"),
        ({"key": "two words"}, r"WhisperLive\.key"),
        ({"settle": -1}, r"WhisperLive\.settle"),
        ({"headers": 7}, r"WhisperLive\.headers"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WhisperLive(**settings)


def test_frames_are_gathered() -> None:
    session = begin(chunk=0.1)
    for _ in range(7):
        session.send(SendAudio(b"\1\0" * 320, 0.0))
    assert [len(message) for message in session.messages_to_send()] == [3200]
    session.finish()
    assert len(session.messages_to_send()[0]) == 1280


# -- what the server says ----------------------------------------------------------------------------


def test_a_segment_is_told_once_however_often_it_is_sent() -> None:
    session = begin()
    first, second = done(0, 1.5, "Turn on the light."), done(1.5, 2.5, "And the radio.")
    assert tell(session, segment(0, 1, "Turn on")) == [
        SpeechStarted(),
        Transcript("user", "Turn on", final=False),
    ]
    assert tell(session, segment(0, 1, "Turn on")) == []
    assert tell(session, first, segment(1.5, 2, "And")) == [
        SpeechStopped(),
        Transcript("user", "Turn on the light."),
        SpeechStarted(),
        Transcript("user", "And", final=False),
    ]
    assert tell(session, first, second) == [SpeechStopped(), Transcript("user", "And the radio.")]
    assert tell(session, first, second) == []
    assert tell(session, second, done(2.5, 3, "And the radio.")) == [
        SpeechStarted(),
        SpeechStopped(),
        Transcript("user", "And the radio."),
    ]


def test_old_servers_do_not_say_what_is_finished() -> None:
    session = begin()
    old = [{"start": "0", "end": "1", "text": "One."}, {"start": "1", "end": "2", "text": "Tw"}]
    assert tell(session, *old)[-1] == Transcript("user", "Tw", final=False)
    assert Transcript("user", "One.") not in tell(session, *old)


def test_a_segment_that_vanishes_is_final() -> None:
    """The server finishes no segment that has the words of the one before: it just takes it back."""
    session = begin()
    first = done(0, 1, "Stop")
    tell(session, first, segment(4, 5, "stop"))
    assert tell(session, first) == [SpeechStopped(), Transcript("user", "stop")]
    assert tell(session, first) == []
    assert tell(session, first, segment(8, 9, "stop")) == [
        SpeechStarted(),
        Transcript("user", "stop", final=False),
    ]
    assert tell(session) == [SpeechStopped(), Transcript("user", "stop")]


@pytest.mark.parametrize("completed", [True, False])
def test_a_segment_is_final_when_the_next_begins_after_its_end(completed: bool) -> None:
    session = begin()
    tell(session, segment(0, 1.2, "Stop"))
    after = segment(1.2, 2, "No", completed=completed)
    assert tell(session, after)[:3] == [SpeechStopped(), Transcript("user", "Stop"), SpeechStarted()]
    assert tell(session, after) == []


def test_a_segment_that_goes_on_is_not_final() -> None:
    session = begin()
    tell(session, segment(0, 1.2, "Turn"))
    assert tell(session, segment(0.4, 1.5, "Turn on")) == [Transcript("user", "Turn on", final=False)]
    assert tell(session, segment(0.4, 1.5, "Turn on") | {"start": None}) == []
    assert tell(session, done(0, 1.5, "Turn on."), segment(1.5, 2, "And")) == [
        SpeechStopped(),
        Transcript("user", "Turn on."),
        SpeechStarted(),
        Transcript("user", "And", final=False),
    ]


def test_a_segment_that_comes_back_corrects_what_was_told() -> None:
    session = begin()
    tell(session, segment(0, 1, "Turn on"))
    assert tell(session) == [SpeechStopped(), Transcript("user", "Turn on")]
    assert tell(session, segment(0, 1, "Turn on")) == [], "it is told"
    assert tell(session, segment(0, 2, "Turn on the light")) == [
        SpeechStarted(),
        Transcript("user", "Turn on the light", final=False),
    ]
    [stopped, corrected] = tell(session, done(0, 2, "Turn on the light."))
    assert (stopped, corrected) == (
        SpeechStopped(),
        Transcript("user", "Turn on the light.", replaces="Turn on"),
    )
    tell(session, segment(3, 4, "Now"))
    tell(session)
    assert tell(session, done(3, 4, "Now")) == [], "the same words, finished at last"


@pytest.mark.parametrize("wrong", ["1e14", 1e14, "inf", -1e99])
@pytest.mark.parametrize("key", ["start", "end"])
def test_one_impossible_time_does_not_make_it_deaf(key: str, wrong: Any) -> None:
    session = begin()
    tell(session, done(0, 1, "One") | {key: wrong})
    assert tell(session, done(1, 2, "Two"))[-1] == Transcript("user", "Two")
    tell(session, segment(2, 3, "Three") | {key: wrong})
    assert Transcript("user", "Four") in tell(session, done(3, 4, "Four"))


@pytest.mark.parametrize(("true", "false"), [("true", "false"), (1, 0), ("True", "No")])
def test_truth_may_be_written_otherwise(true: Any, false: Any) -> None:
    session = begin()
    assert tell(session, segment(0, 1, "a", completed=false))[-1] == Transcript("user", "a", final=False)
    assert tell(session, segment(0, 1, "a", completed=true))[-1] == Transcript("user", "a")


def test_segments_show_that_the_server_is_ready() -> None:
    session = WhisperLive().begin(None, History())
    assert tell(session, done(0, 1, "a"))[-1] == Transcript("user", "a")
    assert session.ready


def test_old_servers_say_their_last_finished_segment_again_and_again() -> None:
    session = begin()
    one, two = {"start": "0", "end": "1", "text": "One."}, {"start": "1", "end": "2", "text": "Two"}
    assert tell(session, one, two)[-1] == Transcript("user", "Two", final=False)
    assert tell(session, one) == [SpeechStopped(), Transcript("user", "Two")]
    assert tell(session, one) == []


def test_the_last_partial_is_final_unless_its_sound_is_sent_again() -> None:
    final = [SpeechStopped(), Transcript("user", "Turn")]
    for kept, resumes in ((30.0, False), (0.0, True), (0.0, False)):
        session = begin(replay=kept)
        session.send(SendAudio(SECOND, 0.0))
        tell(session, segment(0, 1, "Turn"))
        assert session.last_words(resumes=resumes) == final
        assert session.last_words(resumes=False) == []
    lost = begin()
    lost.send(SendAudio(SECOND, 0.0))
    tell(lost, segment(0, 1, "Turn"))
    assert lost.last_words(resumes=True) == []
    assert WhisperLive().begin(lost, History()).last_words(resumes=False) == final


def test_words_have_their_times() -> None:
    words = [
        {"word": " light", "start": "0.300", "end": "0.600", "probability": 0.9},
        {"word": "x", "start": "soon", "end": "1"},
        {"word": "y", "start": "nan", "end": "1"},
    ]
    final = tell(begin(), done(0, 1, "light", words=words))[-1]
    assert isinstance(final, Transcript)
    assert final.words == (Word("light", 0.3, 0.6, 0.9),)


def test_blank_segments_are_no_words() -> None:
    assert tell(begin(), done(0, 1, ""), segment(1, 2, " ")) == []
    assert tell(begin(), done(0, 1, "lost") | {"end": "later"}) == []
    assert tell(begin(), done(0, 1, "kept") | {"start": 0, "end": 1.5})[-1] == Transcript("user", "kept")


@pytest.mark.parametrize(
    ("message", "fatal", "match"),
    [
        ({"status": "WAIT", "message": 9.99}, False, "full for about 10.0 minutes"),
        ({"status": "WAIT", "message": "long"}, False, "full"),
        ({"status": "ERROR", "message": "Failed to load model: x"}, True, "load model"),
        ({"status": "ERROR"}, True, "did not say why"),
    ],
)
def test_errors_that_end_the_connection(message: dict[str, Any], fatal: bool, match: str) -> None:
    with pytest.raises(ServiceError, match=match) as caught:
        begin().receive(json.dumps({"uid": "voicews", **message}))
    assert caught.value.fatal is fatal


def test_other_words() -> None:
    session = begin()
    assert session.receive('{"status": "WARNING", "message": "w"}') == [ServerError("w", "WARNING")]
    assert session.receive('{"message": "DISCONNECT"}') == [SessionExpiring(0.0)]
    for unknown in ({"status": "HAPPY"}, {"language": "en", "language_prob": 0.97}, {"message": 9.9}):
        assert session.receive(json.dumps(unknown)) == [Message(unknown)]
    assert session.receive("[]") == [Message([])]


def test_a_close_that_nobody_wanted_is_tried_again() -> None:
    dialect = WhisperLive()
    closed = ConnectionClosed(1000)
    judged = dialect.classify(closed)
    assert judge(closed) is Verdict.DONE
    assert judge(judged) is Verdict.RETRY
    assert judged.__cause__ is closed
    for other in (ConnectionClosed(1011), VoicewsError("x")):
        assert dialect.classify(other) is other


# -- the end -------------------------------------------------------------------------------------------


def test_the_last_words_are_those_that_the_server_says_again_and_again() -> None:
    session = begin()
    session.send(SendAudio(SECOND, 0.0))
    tell(session, segment(0, 1, "Turn"))
    session.messages_to_send()
    session.finish()
    assert session.messages_to_send() == [bytes(32000)], "silence, so that the last word is long enough"
    assert session.tick_interval
    assert tell(session, segment(0, 1, "Turn")) == []
    assert tell(session, segment(0, 1.2, "Turn on")) == [Transcript("user", "Turn on", final=False)]
    assert tell(session, segment(0, 1.2, "Turn on")) == []
    assert not is_over(session)
    assert tell(session, segment(0, 1.2, "Turn on")) == [SpeechStopped(), Transcript("user", "Turn on")]
    assert is_over(session)
    assert session.messages_to_send() == [END]
    assert tell(session, done(0, 1.2, "Turn on")) == [], "it is told"


def test_results_that_never_agree_come_to_an_end() -> None:
    session = begin()
    session.send(SendAudio(SECOND, 0.0))
    session.finish()
    events = [event for n in range(20) for event in tell(session, segment(0, 1, f"Word {n}"))]
    assert events[-1] == Transcript("user", "Word 7")
    assert is_over(session)


def test_finished_segments_said_again_are_the_end() -> None:
    session = begin()
    session.send(SendAudio(SECOND, 0.0))
    session.finish()
    assert tell(session, done(0, 1, "Yes."))[-1] == Transcript("user", "Yes.")
    for _ in range(2):
        assert not is_over(session)
        tell(session, done(0, 1, "Yes."))
    assert is_over(session)


def test_a_server_that_says_nothing_more_has_nothing_to_say() -> None:
    session = begin(settle=4.0)
    session.send(SendAudio(SECOND, 0.0))
    session.tick(100.0)
    session.finish()
    session.messages_to_send()
    session.tick(100.0)
    session.tick(103.9)
    tell(session, segment(0, 1, "Turn"))
    session.tick(104.2)
    session.tick(108.0)
    assert not is_over(session)
    assert session.tick(108.2) == [SpeechStopped(), Transcript("user", "Turn")]
    assert is_over(session)
    assert session.messages_to_send() == [END]
    session.tick(112.0)
    assert session.messages_to_send() == []


@pytest.mark.parametrize("seconds", [0, 4])
def test_after_long_silence_nothing_is_waited_for(seconds: int) -> None:
    session = begin()
    for _ in range(seconds):
        session.send(SendAudio(bytes(32000), 0.0))
    session.messages_to_send()
    session.finish()
    assert is_over(session)
    assert session.messages_to_send() == [END]


def test_before_it_is_ready_there_is_nothing_to_finish() -> None:
    session = WhisperLive().begin(None, History())
    session.finish()
    assert is_over(session)


# -- a new connection ------------------------------------------------------------------------------------


def test_what_was_not_finished_is_sent_again_and_keeps_its_time() -> None:
    dialect = WhisperLive(chunk=0.0, encoding="int16", words=True)
    lost = dialect.begin(None, History())
    lost.receive(READY)
    for number in range(12):
        lost.send(SendAudio(bytes([number]) * 32000, 1001.0 + number))
    tell(lost, done(0, 2, "One."), segment(2, 4, "Two"))
    new = dialect.begin(lost, History())
    assert len(new.messages_to_send()) == 1
    new.receive(READY)
    sound = new.messages_to_send()
    assert [len(message) for message in sound] == [160_000, 160_000]
    assert sound[0][:1] == b"\2"
    word = {"word": "Two", "start": "1.0", "end": "1.5"}
    final = tell(new, done(0, 2, "Two.", words=[word]))[-1]
    assert isinstance(final, Transcript)
    assert (final.words[0].start, final.words[0].end) == (3.0, 3.5)


def test_golden() -> None:
    history = replay(WhisperLive(model="tiny.en", encoding="int16", chunk=0.0), "whisper_live")
    assert [turn.text for turn in history] == ["Turn on the light.", "And the radio.", "Good night."]
    assert history.turns[0] == Turn("user", "Turn on the light.")
