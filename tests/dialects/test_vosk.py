"""Vosk's language: the settings, the promises, and what is made of its results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.commands import Command, EndTurn, SendAudio, SendMessage
from voicews.config import AudioFormat
from voicews.dialects import Dialect, Session, Vosk
from voicews.errors import ConfigError, ConnectionClosed, ServiceError, Unsupported, VoicewsError
from voicews.events import Event, Message, SpeechStarted, SpeechStopped, Transcript, Word
from voicews.history import History, Turn

WORD = {"conf": 0.9, "start": 0.3, "end": 0.6, "word": "light"}
WORDS: list[dict[str, Any]] = [
    {"partial": ""},
    {"partial": "turn"},
    {"partial": "turn", "partial_result": [WORD]},
    {"text": ""},
    {"text": "light", "result": [WORD]},
    {"alternatives": [{"text": "light", "confidence": 123.4, "result": [WORD]}]},
]
SECOND = bytes(32000)


class VoskContract(DialectContract):
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
        return "hunter2", "token-in-header", "token-in-query"


class TestContract(VoskContract):
    def dialect(self) -> Dialect:
        return Vosk(
            "wss://me:hunter2@voice.example/?key=token-in-query",
            headers={"Authorization": "Bearer token-in-header"},
            chunk=0.0,
        )


class TestContractOfOldServers(VoskContract):
    def dialect(self) -> Dialect:
        return Vosk("ws://u:hunter2@localhost", reset=False, chunk=0.0, headers={"X": "token-in-header"})


def begin(**settings: Any) -> Session:
    session = Vosk(**settings).begin(None, History())
    session.messages_to_send()
    return session


def tell(session: Session, *words: dict[str, Any]) -> list[Event]:
    return [event for word in words for event in session.receive(json.dumps(word))]


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "config"),
    [
        ({}, {"sample_rate": 16000, "words": True}),
        ({"input_format": AudioFormat(8000), "words": False}, {"sample_rate": 8000, "words": False}),
        ({"phrases": ["turn on", "[unk]"]}, {"phrase_list": ["turn on", "[unk]"]}),
        ({"model": "models/de"}, {"model": "models/de"}),
        ({"options": {"max_alternatives": 3, "words": False}}, {"max_alternatives": 3, "words": False}),
    ],
)
def test_the_server_is_told_the_settings(settings: dict[str, Any], config: dict[str, Any]) -> None:
    [said] = Vosk(**settings).begin(None, History()).messages_to_send()
    assert config.items() <= json.loads(said)["config"].items()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://localhost"}, r"Vosk\.url"),
        ({"input_format": AudioFormat(16000, 2)}, r"Vosk\.input_format"),
        ({"phrases": "turn on"}, r"Vosk\.phrases"),
        ({"model": ""}, r"Vosk\.model"),
        ({"options": {"a": object()}}, r"Vosk\.options"),
        ({"chunk": -1}, r"Vosk\.chunk"),
        ({"replay": "all"}, r"Vosk\.replay"),
        ({"headers": {"X": 1}}, r"Vosk\.headers"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Vosk(**settings)


# -- what we say -----------------------------------------------------------------------------------


def test_control_messages_are_exact_to_the_letter() -> None:
    session = begin()
    session.send(EndTurn())
    session.send(SendMessage({"eof": 1}))
    session.finish()
    assert session.messages_to_send() == ['{"reset" : 1}', '{"eof" : 1}', '{"eof" : 1}']


def test_frames_are_gathered_and_nothing_stays_behind() -> None:
    session = begin(chunk=0.1)
    for number in range(12):
        session.send(SendAudio(bytes([number]) * 640, 0.0))
    said = session.messages_to_send()
    assert [len(message) for message in said] == [3200, 3200]
    session.finish()
    assert [len(message) for message in session.messages_to_send()] == [1280, len('{"eof" : 1}')]


def test_a_turn_cannot_be_ended_on_old_servers() -> None:
    assert EndTurn not in Vosk(reset=False).accepts
    with pytest.raises(Unsupported, match="EndTurn"):
        begin(reset=False).send(EndTurn())


# -- what the server says ----------------------------------------------------------------------------


def test_a_partial_replaces_the_one_before() -> None:
    assert tell(
        begin(), {"partial": ""}, {"partial": "turn"}, {"partial": "turn"}, {"partial": "turn on"}
    ) == [
        SpeechStarted(),
        Transcript("user", "turn", final=False),
        Transcript("user", "turn on", final=False),
    ]


def test_a_final_ends_the_utterance() -> None:
    session = begin()
    [_, stopped, final] = tell(session, {"text": "light", "result": [WORD, {"word": "x"}, "nonsense"]})
    assert [stopped, final] == [SpeechStopped(), Transcript("user", "light")]
    assert isinstance(final, Transcript)
    assert final.words == (Word("light", 0.3, 0.6, 0.9),)
    assert tell(session, {"text": ""}) == []


def test_a_partial_that_came_to_nothing_is_taken_back() -> None:
    events = tell(begin(), {"partial": "turn"}, {"text": ""})
    assert events[-2:] == [SpeechStopped(), Transcript("user", "")]


def test_the_best_alternative_is_the_transcript_and_the_rest_a_message() -> None:
    result = {"alternatives": [{"text": "light", "confidence": 9}, {"text": "lied", "confidence": 8}]}
    assert tell(begin(), result)[-2:] == [Transcript("user", "light"), Message(result)]
    assert tell(begin(), {"alternatives": []}) == []
    voice = {"text": "light", "spk": [0.1, 0.2], "spk_frames": 90}
    assert tell(begin(), voice)[-1] == Message(voice)


def test_results_may_come_in_binary_messages() -> None:
    """The server in C++ answers text so."""
    assert begin().receive(b'{"text" : "light"}')[-1] == Transcript("user", "light")


@pytest.mark.parametrize("nonsense", ["[]", "{}", "hello", '{"partial": 7}', '{"text": null}', b"\xff"])
def test_nonsense_becomes_a_message(nonsense: str | bytes) -> None:
    [event] = begin().receive(nonsense)
    assert isinstance(event, Message)


# -- the end -------------------------------------------------------------------------------------------


def test_the_last_words_are_waited_for() -> None:
    session = begin(chunk=0.0)
    session.send(SendAudio(SECOND, 0.0))
    session.send(SendAudio(SECOND, 1.0))
    session.finish()
    tell(session, {"partial": "turn"})
    tell(session, {"text": "turn on"})
    assert not session.finished, "this was the answer to the second message of sound"
    tell(session, {"text": "the light"})
    assert session.finished


def test_a_server_that_answers_the_settings_too_is_waited_for() -> None:
    session = begin(chunk=0.0)
    session.send(SendAudio(SECOND, 0.0))
    session.finish()
    tell(session, {"partial": ""}, {"partial": "turn"})
    assert not session.finished
    tell(session, {"text": "turn on"})
    assert session.finished


def test_settings_said_later_are_not_answered() -> None:
    session = begin()
    session.send(SendMessage({"config": {"words": False}}))
    session.finish()
    tell(session, {"text": ""})
    assert session.finished


# -- a new connection ------------------------------------------------------------------------------------


def test_what_was_not_recognised_is_sent_again_and_keeps_its_time() -> None:
    dialect = Vosk(chunk=0.0)
    lost = dialect.begin(None, History())
    for number in range(4):
        lost.send(SendAudio(bytes([number]) * len(SECOND), 1001.0 + number))
    tell(lost, {"partial": "a"}, {"text": "a"}, {"partial": "b"})
    new = dialect.begin(lost, History())
    _config, *sound = new.messages_to_send()
    assert b"".join(one for one in sound if isinstance(one, bytes)) == b"\2" * 32000 + b"\3" * 32000
    assert tell(new, {"partial": "b"}) == [], "it was told before the connection was lost"
    new.send(SendAudio(SECOND, 1011.0))
    results = [{"word": "b", "start": 0.5, "end": 0.6}, {"word": "c", "start": 2.5, "end": 2.6}]
    final = tell(new, {"text": "b c", "result": results})[-1]
    assert isinstance(final, Transcript)
    assert [(word.start, word.end) for word in final.words] == [
        pytest.approx((2.5, 2.6)),
        pytest.approx((10.5, 10.6)),
    ]


def test_much_sound_is_sent_again_in_pieces_that_servers_take() -> None:
    dialect = Vosk(input_format=AudioFormat(48000), chunk=0.0)
    lost = dialect.begin(None, History())
    for number in range(12):
        lost.send(SendAudio(bytes(96000), float(number)))
    new = dialect.begin(lost, History())
    sound = [message for message in new.messages_to_send() if isinstance(message, bytes)]
    assert sum(map(len, sound)) == 960_000
    assert max(map(len, sound)) <= 500_000


@pytest.mark.parametrize("command", [None, EndTurn(), SendMessage("nonsense")])
def test_a_server_that_fails_at_our_text_would_fail_again(command: Command | None) -> None:
    session = begin()
    if command is not None:
        tell(session, {"partial": ""})
        session.send(command)
    failed = session.classify(ConnectionClosed(1011))
    assert isinstance(failed, ServiceError)
    assert (failed.fatal, failed.code) == (True, 1011)
    assert isinstance(failed.__cause__, ConnectionClosed)


def test_other_ends_are_what_they_seem() -> None:
    session = begin()
    for error in (ConnectionClosed(1006), VoicewsError("x")):
        assert session.classify(error) is error
    tell(session, {"partial": ""})
    fault_of_its_own = ConnectionClosed(1011)
    assert session.classify(fault_of_its_own) is fault_of_its_own


@pytest.mark.parametrize("resumes", [True, False])
def test_the_last_partial_is_final_unless_its_sound_is_sent_again(resumes: bool) -> None:
    session = begin(chunk=0.0)
    session.send(SendAudio(bytes(640), 0.0))
    tell(session, {"partial": "turn on"})
    final = [SpeechStopped(), Transcript("user", "turn on")]
    assert session.last_words(resumes=resumes) == ([] if resumes else final)
    if resumes:
        assert Vosk().begin(session, History()).last_words(resumes=False) == final
        session = begin(chunk=0.0, replay=0.0)
        session.send(SendAudio(bytes(640), 0.0))
        tell(session, {"partial": "turn on"})
        assert session.last_words(resumes=True) == final
    assert session.last_words(resumes=False) == []


def test_golden() -> None:
    history = replay(Vosk(input_format=AudioFormat(4000), chunk=0.0), "vosk")
    assert list(history) == [
        Turn("user", "turn on the light"),
        Turn("user", "and the radio"),
        Turn("user", "good night"),
    ]
