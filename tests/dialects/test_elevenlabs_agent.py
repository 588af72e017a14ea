"""ElevenLabs Agents: the way in, formats told at run time, late sound, corrections, functions."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from voicews.commands import InterruptResponse, SendAudio, SendText, ToolResult
from voicews.config import AudioFormat
from voicews.dialects import Dialect, ElevenLabsAgent, Session
from voicews.errors import (
    ConfigError,
    ConnectFailed,
    ConnectionClosed,
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
    ToolCall,
    Transcript,
)
from voicews.history import History, Turn

URL = "ws://localhost:8765/v1/convai/conversation"
SOUND = AudioFormat(16000)


def metadata(up: str = "pcm_16000", down: str = "pcm_16000") -> dict[str, Any]:
    about = {"conversation_id": "c", "agent_output_audio_format": down, "user_input_audio_format": up}
    return {
        "type": "conversation_initiation_metadata",
        "conversation_initiation_metadata_event": about,
    }


def audio(pcm: bytes, event_id: int = 1) -> dict[str, Any]:
    sound = base64.b64encode(pcm).decode()
    return {"type": "audio", "audio_event": {"audio_base_64": sound, "event_id": event_id}}


def response(text: str) -> dict[str, Any]:
    return {"type": "agent_response", "agent_response_event": {"agent_response": text, "event_id": 1}}


def heard(text: str) -> dict[str, Any]:
    return {
        "type": "user_transcript",
        "user_transcription_event": {"user_transcript": text, "event_id": 1},
    }


def error(**fields: Any) -> dict[str, Any]:
    return {"type": "error", "error_event": fields}


def interruption(event_id: int) -> dict[str, Any]:
    return {"type": "interruption", "interruption_event": {"event_id": event_id}}


PING: dict[str, Any] = {"type": "ping", "ping_event": {"event_id": 7, "ping_ms": 50}}
CALL: dict[str, Any] = {
    "type": "client_tool_call",
    "client_tool_call": {"tool_name": "get_time", "tool_call_id": "t1", "parameters": {"zone": "UTC"}},
}
CORRECTION: dict[str, Any] = {
    "type": "agent_response_correction",
    "agent_response_correction_event": {
        "original_agent_response": "ab ",
        "corrected_agent_response": "a",
        "event_id": 1,
    },
}
TENTATIVE: dict[str, Any] = {
    "type": "tentative_user_transcript",
    "tentative_user_transcription_event": {"user_transcript": "hel", "event_id": 1},
}
PART: dict[str, Any] = {
    "type": "agent_chat_response_part",
    "text_response_part": {"text": "a", "type": "delta", "event_id": 1},
}
WORDS: list[dict[str, Any]] = [
    PING,
    TENTATIVE,
    heard("hello"),
    response("hi"),
    PART,
    CORRECTION,
    interruption(0),
    audio(b"\1\2"),
    CALL,
    error(code=1011, message="slow", error_type="llm_timeout"),
    error(code=1008, message="no", error_type="override_error"),
    metadata(),
]


class TestElevenLabsAgentContract(DialectContract):
    def dialect(self) -> Dialect:
        return ElevenLabsAgent(
            "agent-1",
            key="key-hunter2",
            headers={"X-Token": "header-hunter2"},
            url=f"{URL}?token=query-hunter2",
            user_id="user-hunter2",
            variables={"secret": "variable-hunter2"},
            options={"custom_llm_extra_body": {"token": "options-hunter2"}},
        )

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return (json.dumps(metadata()),)

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS

    def said_sound(self, message: str | bytes) -> bytes:
        return base64.b64decode(json.loads(message).get("user_audio_chunk", ""))

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        return json.dumps(audio(pcm))

    @property
    def secrets(self) -> Sequence[str]:
        names = ("key", "header", "query", "user", "variable", "options")
        return [f"{name}-hunter2" for name in names]


class TestElevenLabsAgentContractOnTheTelephone(DialectContract):
    """Mu-law both ways: 16-bit samples that it can express come through unchanged."""

    def dialect(self) -> Dialect:
        return ElevenLabsAgent("agent-1", url=URL, input_format=AudioFormat(8000))

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return (json.dumps(metadata("ulaw_8000", "ulaw_8000")),)

    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS[:-1]

    def said_sound(self, message: str | bytes) -> bytes:
        return base64.b64decode(json.loads(message).get("user_audio_chunk", ""))

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        return json.dumps(audio(pcm))

    def test_sound_in_is_sound_out(self) -> None:
        session = self.start()
        session.send(SendAudio(b"\x7c\x7d\0\0\x84\x82", 0.0))
        assert [self.said_sound(message) for message in session.messages_to_send()] == [b"\x80\xff\0"]
        events = session.receive(json.dumps(audio(b"\x80\xff\0")))
        assert events[-1] == AudioReceived(b"\x7c\x7d\0\0\x84\x82", AudioFormat(8000))


def make(**settings: Any) -> ElevenLabsAgent:
    return ElevenLabsAgent(**{"agent_id": "agent-1", "url": URL, **settings})


def begin(history: History | None = None, **settings: Any) -> tuple[Session, list[Any]]:
    """A call that is accepted, and what it has said until then."""
    session = make(**settings).begin(None, history or History())
    first = said(session)
    tell(session, metadata())
    assert session.ready
    return session, first + said(session)


def ready(**settings: Any) -> Session:
    return begin(**settings)[0]


def tell(session: Session, *words: dict[str, Any]) -> list[Event]:
    return [event for word in words for event in session.receive(json.dumps(word))]


def said(session: Session) -> list[Any]:
    return [json.loads(message) for message in session.messages_to_send()]


def test_a_whole_conversation() -> None:
    dialect = make(
        instructions="Be brief.",
        first_message="Hello.",
        variables={"name": "Ada"},
        resumed="Said before:\n{history}",
    )
    history = replay(dialect, "elevenlabs_agent")
    assert history.turns == (
        Turn("assistant", "Hello."),
        Turn("user", "What time is it?"),
        Turn("assistant", "It is twelve..."),
        Turn("user", "Thanks."),
        Turn("assistant", "You are welcome."),
        Turn("user", "One more thing."),
    )


# -- the first message ------------------------------------------------------------------------------


def test_the_least_settings() -> None:
    _, [first] = begin()
    assert first == {
        "type": "conversation_initiation_client_data",
        "conversation_config_override": {},
        "custom_llm_extra_body": {},
        "dynamic_variables": {},
    }


def test_further_settings() -> None:
    _, [first] = begin(
        instructions="Be brief.",
        first_message="",
        language="de",
        voice="v1",
        text_only=True,
        variables={"name": "Ada", "n": 7},
        user_id="u1",
        options={"conversation_config_override": {"tts": {"speed": 1.1}}, "source_info": {"source": "x"}},
    )
    assert first == {
        "type": "conversation_initiation_client_data",
        "conversation_config_override": {
            "agent": {"prompt": {"prompt": "Be brief."}, "first_message": "", "language": "de"},
            "tts": {"voice_id": "v1", "speed": 1.1},
            "conversation": {"text_only": True},
        },
        "custom_llm_extra_body": {},
        "dynamic_variables": {"name": "Ada", "n": 7},
        "user_id": "u1",
        "source_info": {"source": "x"},
    }


HISTORY = History(turns=(Turn("user", "I am Ada."), Turn("assistant", "Hello {history}.")))


def test_a_new_call_is_told_of_the_old_one() -> None:
    _, [first, update] = begin(HISTORY)
    assert first["conversation_config_override"] == {}
    assert update["type"] == "contextual_update"
    assert "user: I am Ada.\nassistant: Hello {history}.\n" in update["text"]


def test_a_new_call_need_not_be_told() -> None:
    _, said_at_first = begin(HISTORY, resumed=None, first_message="Hello.")
    [first] = said_at_first
    assert first["conversation_config_override"] == {"agent": {"first_message": ""}}


# -- formats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_sound_has_the_format_that_the_server_tells(rate: int) -> None:
    session = make().begin(None, History())
    tell(session, metadata(down=f"pcm_{rate}"))
    assert tell(session, audio(b"\1\2"))[-1] == AudioReceived(b"\1\2", AudioFormat(rate))


@pytest.mark.parametrize("name", ["mp3_44100", "pcm", "pcm_1000", "pcm_999999", "opus_48000_96"])
@pytest.mark.parametrize("way", ["up", "down"])
def test_formats_that_nobody_understands_are_fatal(name: str, way: str) -> None:
    with pytest.raises(ServiceError, match=name) as caught:
        tell(make().begin(None, History()), metadata(**{way: name}))
    assert caught.value.fatal


def test_the_agent_has_to_hear_what_is_sent() -> None:
    with pytest.raises(ServiceError, match=r"input_format=AudioFormat\(24000\)") as caught:
        tell(make().begin(None, History()), metadata(up="pcm_24000"))
    assert caught.value.fatal
    session = make(input_format=AudioFormat(24000)).begin(None, History())
    tell(session, metadata(up="pcm_24000"))
    assert session.ready


def test_a_server_that_tells_no_formats_has_the_expected_ones() -> None:
    session = make(output_format=AudioFormat(24000)).begin(None, History())
    tell(session, {"type": "conversation_initiation_metadata"})
    assert tell(session, audio(b"\1\2"))[-1] == AudioReceived(b"\1\2", AudioFormat(24000))


@pytest.mark.parametrize("sound", ["!", "A", "no base64", "\xe9"])
def test_sound_that_is_no_base64_costs_its_message(sound: str) -> None:
    session = ready()
    word = {"type": "audio", "audio_event": {"audio_base_64": sound, "event_id": 1}}
    assert [type(event) for event in tell(session, word, word)] == [Message, ServerError, Message]
    assert tell(session, audio(b"\1\1"))[-1] == AudioReceived(b"\1\1", SOUND)


@pytest.mark.parametrize("sound", ["-_8", "-_8=", "+/8", "+/8=\n", "+\r\n/8="])
def test_base64_in_any_form(sound: str) -> None:
    word = {"type": "audio", "audio_event": {"audio_base_64": sound, "event_id": 1}}
    assert tell(ready(), word)[-1] == AudioReceived(b"\xfb\xff", SOUND)


# -- turns ------------------------------------------------------------------------------------------


def test_late_sound_of_interrupted_answers_is_dropped_by_its_number() -> None:
    session = ready()
    tell(session, audio(b"\1\1", 3))
    assert tell(session, interruption(5), interruption(4)) == [Interrupted(), ResponseDone(), Interrupted()]
    assert tell(session, audio(b"\2\2", 4), audio(b"\3\3", 5)) == []
    assert tell(session, audio(b"\4\4", 6)) == [ResponseStarted(), AudioReceived(b"\4\4", SOUND)]


def test_an_interruption_without_a_number_drops_nothing() -> None:
    session = ready()
    assert tell(session, {"type": "interruption"}) == [Interrupted()]
    assert AudioReceived(b"\1\1", SOUND) in tell(session, audio(b"\1\1", 0))


def test_an_answer_is_over_when_no_sound_has_come_for_a_while() -> None:
    session = ready()
    tell(session, response("a"))
    for _ in range(3):
        assert session.tick(0.0) == []
    assert tell(session, audio(b"\1\1")) == [AudioReceived(b"\1\1", SOUND)]
    assert [session.tick(0.0) for _ in range(5)] == [[], [], [], [ResponseDone()], []]


def test_an_answer_in_writing_is_over_at_once() -> None:
    session = ready(text_only=True)
    session.send(SendAudio(b"\1\2", 0.0))
    assert said(session) == []
    assert tell(session, PART, response("a")) == [
        ResponseStarted(),
        Token("a"),
        Transcript("assistant", "a"),
        ResponseDone(),
    ]


def test_the_rest_of_an_answer_that_nobody_wants_is_not_heard() -> None:
    session = ready()
    session.send(InterruptResponse())
    assert AudioReceived(b"\1\1", SOUND) in tell(session, audio(b"\1\1"))
    session.send(InterruptResponse())
    assert said(session) == []
    assert tell(session, audio(b"\2\2")) == []
    assert tell(session, heard("next")) == [ResponseDone(), SpeechStopped(), Transcript("user", "next")]
    assert AudioReceived(b"\3\3", SOUND) in tell(session, audio(b"\3\3"))


def test_an_unfinished_sample_does_not_shift_the_next_answer() -> None:
    events = tell(ready(), audio(b"\1\2\3"), heard("a"), audio(b"\4\5"))
    assert [event.pcm for event in events if isinstance(event, AudioReceived)] == [b"\1\2", b"\4\5"]


def test_what_was_written_is_not_told_again() -> None:
    session = ready()
    session.send(SendText(" hello "))
    assert said(session) == [{"type": "user_message", "text": " hello "}]
    assert tell(session, heard("hello")) == []
    assert tell(session, heard("hello")) == [SpeechStopped(), Transcript("user", "hello")]


def test_silence_is_no_turn_of_words() -> None:
    assert tell(ready(), heard(" "), response("")) == [SpeechStopped(), ResponseStarted()]


def test_the_end_waits_for_the_users_last_words() -> None:
    """Silence is what ends a turn, and the microphone sends no more."""
    session = ready()
    tell(session, TENTATIVE)
    session.finish()
    said(session)
    session.tick(1.0)
    [silence] = said(session)
    assert base64.b64decode(silence["user_audio_chunk"]) == bytes(16000)
    assert not session.finished
    tell(session, heard("Good night."))
    session.tick(1.5)
    assert said(session) == []
    assert not session.finished
    tell(session, response("Sleep well."))
    for _ in range(4):
        assert not session.finished
        session.tick(2.0)
    assert session.finished


def test_the_end_waits_for_the_answer_to_what_was_written() -> None:
    session = ready(text_only=True)
    session.send(SendText("Good night."))
    session.finish()
    assert not session.finished
    tell(session, response("Sleep well."))
    assert session.finished


def test_what_the_user_may_be_saying() -> None:
    assert tell(ready(), TENTATIVE, TENTATIVE, heard("hello"), TENTATIVE)[:-1] == [
        SpeechStarted(),
        Transcript("user", "hel", final=False),
        Transcript("user", "hel", final=False),
        SpeechStopped(),
        Transcript("user", "hello"),
        SpeechStarted(),
    ]


def test_a_correction_tells_what_it_replaces() -> None:
    assert tell(ready(), CORRECTION) == [Transcript("assistant", "a", replaces="ab")]


@pytest.mark.parametrize("word", [word for word in WORDS if word["type"] not in ("interruption", "error")])
def test_a_word_without_its_content_is_a_message(word: dict[str, Any]) -> None:
    bare = {"type": word["type"]}
    told = tell(ready(), bare)
    if "metadata" in word["type"]:
        assert told == []
    else:
        assert told[0] == Message(bare)
        assert [type(event) for event in told[1:]] == [ServerError]


def test_sound_in_a_binary_message_is_none() -> None:
    message, why = ready().receive(b"\1\2")
    assert message == Message(b"\1\2")
    assert isinstance(why, ServerError)


# -- functions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "error", "told"),
    [("12:00", None, "12:00"), ({"a": 1}, None, '{"a": 1}'), (None, "no clock", "no clock")],
)
def test_results(result: Any, error: str | None, told: str) -> None:
    session = ready()
    tell(session, CALL)
    session.send(ToolResult("t1", result, error))
    session.send(ToolResult("t1", result, error))
    session.send(ToolResult("never", result, error))
    assert said(session) == [
        {"type": "client_tool_result", "tool_call_id": "t1", "result": told, "is_error": error is not None}
    ]


@pytest.mark.parametrize(
    ("parameters", "told"), [({"a": 1}, {"a": 1}), ('{"a": 1}', {"a": 1}), (None, {}), ("", {})]
)
def test_parameters_in_any_form(parameters: Any, told: dict[str, Any]) -> None:
    call = {"tool_name": "light", "tool_call_id": "t1", "parameters": parameters}
    word = {"type": "client_tool_call", "client_tool_call": call}
    assert tell(ready(), word) == [ToolCall("t1", "light", told)]


@pytest.mark.parametrize("parameters", [[], 7, "[1]", "light", False])
def test_other_parameters_are_refused_to_the_server(parameters: Any) -> None:
    session = ready()
    call = {"tool_name": "light", "tool_call_id": "t1", "parameters": parameters}
    assert tell(session, {"type": "client_tool_call", "client_tool_call": call}) == []
    [result] = said(session)
    assert (result["tool_call_id"], result["is_error"]) == ("t1", True)


# -- what never comes, or otherwise -----------------------------------------------------------------


def is_silent(session: Session) -> bool:
    """The next answer is not heard of, but the one after it is."""
    events = tell(session, response("No."), audio(b"\1\1", 50))
    for _ in range(4):
        events += session.tick(0.0)
    tell(session, heard("Next."))
    assert tell(session, audio(b"\2\2", 60), response("Yes.")) == [
        ResponseStarted(),
        AudioReceived(b"\2\2", SOUND),
        Transcript("assistant", "Yes."),
    ]
    return all(isinstance(event, SpeechStopped) for event in events)


def test_an_answer_to_what_was_written_or_said_can_be_called_off() -> None:
    session = ready()
    session.send(SendText("Hello."))
    session.send(InterruptResponse())
    assert is_silent(session)
    session = ready()
    tell(session, TENTATIVE, heard("Hello."))
    session.send(InterruptResponse())
    assert is_silent(session)


def test_the_answer_to_a_result_can_be_called_off_while_the_call_lasts() -> None:
    session = ready()
    tell(session, CALL)
    session.send(InterruptResponse())
    session.send(ToolResult("t1", "on"))
    assert is_silent(session)


@pytest.mark.parametrize(
    "anew", [SendText("Hello."), TENTATIVE, heard("Hello.")], ids=["text", "speech", "words"]
)
def test_the_answer_to_what_comes_after_is_heard(anew: Any) -> None:
    session = ready()
    session.send(SendText("Never mind."))
    session.send(InterruptResponse())
    session.send(anew) if isinstance(anew, SendText) else tell(session, anew)
    assert ResponseStarted() in tell(session, audio(b"\1\1"))


def test_a_turn_ends_although_nobody_says_so() -> None:
    session = ready()
    tell(session, TENTATIVE)
    assert tell(session, response("Hi.")) == [
        SpeechStopped(),
        Transcript("user", "hel"),
        ResponseStarted(),
        Transcript("assistant", "Hi."),
    ]
    assert tell(session, heard("hello")) == [Transcript("user", "hello", replaces="hel")]
    session.finish()
    for _ in range(4):
        session.tick(0.0)
    assert session.finished


def test_what_is_said_later_is_no_echo_of_what_was_written() -> None:
    session = ready()
    session.send(SendText("Stop"))
    tell(session, response("Yes?"))
    for _ in range(4):
        session.tick(0.0)
    assert tell(session, heard("Stop")) == [SpeechStopped(), Transcript("user", "Stop")]
    session.send(SendText("Stop"))
    tell(session, TENTATIVE)
    assert tell(session, heard("Stop")) == [SpeechStopped(), Transcript("user", "Stop")]


@pytest.mark.parametrize("number", [10**14, 10**20, "7", float("inf")])
@pytest.mark.parametrize("word", [heard("Hello."), response("Yes?")], ids=["user", "agent"])
def test_no_number_silences_all_answers(number: Any, word: dict[str, Any]) -> None:
    session = ready()
    tell(session, {"type": "interruption", "interruption_event": {"event_id": number}}, word)
    assert AudioReceived(b"\1\1", SOUND) in tell(session, audio(b"\1\1", 3))


@pytest.mark.parametrize("number", [7, "7", "a", 10**30, -1, 7.0])
def test_a_ping_is_answered_with_its_own_number(number: Any) -> None:
    session = ready()
    tell(session, {"type": "ping", "ping_event": {"event_id": number}})
    assert said(session) == [{"type": "pong", "event_id": number}]


@pytest.mark.parametrize(
    "word",
    [
        {"type": "error", "error_event": "no memory"},
        {"type": "error", "error": "no memory"},
        {"type": "error", "error": {"message": "no memory"}},
        {"type": "error", "message": "no memory"},
    ],
    ids=str,
)
def test_an_error_that_is_told_elsewhere(word: dict[str, Any]) -> None:
    session = ready(text_only=True)
    session.send(SendText("Hello"))
    session.finish()
    assert tell(session, word) == [ServerError("no memory")]
    assert session.finished


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"code": 1002, "message": "wrong"},
        {"code": 1008, "reason": "wrong"},
        {"code": 1011, "error_type": "invalid_message", "message": "wrong"},
        {"code": 1000, "error_type": "max_duration_exceeded", "message": "wrong"},
        {"code": 1011, "error_type": "safety_violation", "message": "wrong"},
    ],
    ids=str,
)
def test_errors_that_would_come_again(fields: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="wrong") as caught:
        tell(ready(), error(**fields))
    assert caught.value.fatal
    assert caught.value.code == fields.get("error_type", fields["code"])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"code": 1011, "message": "slow"}, ServerError("slow", 1011)),
        ({"error_type": "llm_timeout"}, ServerError("llm_timeout", "llm_timeout")),
        ({"debug_message": "x"}, ServerError("it did not say why")),
    ],
    ids=str,
)
def test_errors_that_end_nothing(fields: dict[str, Any], told: ServerError) -> None:
    assert tell(ready(), error(**fields)) == [told]
    assert tell(ready(), {"type": "error", **fields}) == [told]


def test_close_codes_mean_what_they_mean_everywhere() -> None:
    closed = ConnectionClosed(1008)
    assert make().classify(closed) is closed


# -- the way in -------------------------------------------------------------------------------------


def test_a_public_agent() -> None:
    assert ElevenLabsAgent("a b").request().url == (
        "wss://api.elevenlabs.io/v1/convai/conversation?agent_id=a+b"
    )
    request = make(url=f"{URL}?environment=staging", headers={"X": "y"}).request()
    assert request.url == f"{URL}?environment=staging&agent_id=agent-1"
    assert request.headers == {"X": "y"}


class Backend:
    """Hands out signed addresses, each but once."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.answer = answer

    def fetch(self, url: str, headers: Mapping[str, str]) -> bytes:
        self.asked.append((url, headers))
        signed = {"signed_url": f"wss://api.elevenlabs.io/?token={len(self.asked)}"}
        return self.answer if self.answer is not None else json.dumps(signed).encode()


def test_a_private_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "from-environment")
    backend = Backend()
    dialect = ElevenLabsAgent("agent-1", private=True, fetch=backend.fetch)
    assert [dialect.request().url[-1] for _ in range(2)] == ["1", "2"]
    assert backend.asked[0] == (
        "https://api.elevenlabs.io/v1/convai/conversation/get-signed-url?agent_id=agent-1",
        {"xi-api-key": "from-environment"},
    )
    make(private=True, key="given", fetch=backend.fetch).request()
    assert backend.asked[-1] == (
        "http://localhost:8765/v1/convai/conversation/get-signed-url?agent_id=agent-1",
        {"xi-api-key": "given"},
    )


def test_a_private_agent_is_asked_for_by_the_way_of_the_client() -> None:
    """A function of one's own goes before it."""
    client, own = Backend(), Backend()
    assert make(private=True, key="given").prepare(client.fetch).url[-1] == "1"
    assert client.asked[0][1] == {"xi-api-key": "given"}
    make(private=True, key="given", fetch=own.fetch).prepare(client.fetch)
    assert (len(client.asked), len(own.asked)) == (1, 1)


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"signed_url": 7}'])
def test_no_signed_address(answer: bytes) -> None:
    with pytest.raises(ConnectFailed, match="gave no signed_url"):
        make(private=True, key="k", fetch=Backend(answer).fetch).request()


def test_a_signed_address_that_is_none() -> None:
    with pytest.raises(ConfigError, match="the signed_url is"):
        make(private=True, key="k", fetch=Backend(b'{"signed_url": "http://x"}').fetch).request()


def test_the_key_of_the_environment_goes_to_its_own_service_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "from-environment")
    backend = Backend()
    with pytest.raises(ConfigError, match="key"):
        make(private=True, fetch=backend.fetch)
    assert ElevenLabsAgent("agent-1").key == ""
    monkeypatch.delenv("ELEVENLABS_API_KEY")
    with pytest.raises(ConfigError, match="ELEVENLABS_API_KEY"):
        ElevenLabsAgent("agent-1", private=True)


def test_an_address_signed_elsewhere() -> None:
    signed = iter([f"{URL}?token=1", f"{URL}?token=2", "nonsense"])
    dialect = make(agent_id=None, signed_url=lambda: next(signed))
    assert [dialect.request().url for _ in range(2)] == [f"{URL}?token=1", f"{URL}?token=2"]
    with pytest.raises(ConfigError, match="signed_url"):
        dialect.request()
    assert make(agent_id=None, signed_url=f"{URL}?token=3").request().url == f"{URL}?token=3"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("agent_id", {"agent_id": None}),
        ("agent_id", {"signed_url": URL}),
        ("agent_id", {"agent_id": " "}),
        ("signed_url", {"agent_id": None, "signed_url": "http://x"}),
        ("signed_url", {"agent_id": None, "signed_url": 7}),
        ("private", {"agent_id": None, "signed_url": URL, "private": True}),
        ("url", {"url": "http://localhost/"}),
        ("instructions", {"instructions": ""}),
        ("first_message", {"first_message": 7}),
        ("language", {"language": 7}),
        ("voice", {"voice": ""}),
        ("user_id", {"user_id": ""}),
        ("resumed", {"resumed": ""}),
        ("variables", {"variables": {"a": {1}}}),
        ("options", {"options": None}),
        ("headers", {"headers": {"a": 1}}),
        ("input_format", {"input_format": AudioFormat(16000, 2)}),
        ("output_format", {"output_format": 16000}),
        ("key", {"private": True}),
    ],
)
def test_wrong_settings(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"ElevenLabsAgent\.{name}"):
        make(**settings)


def test_settings_compare_hash_and_vary() -> None:
    dialect = make(variables={"a": 1})
    assert dialect == replace(dialect)
    assert hash(dialect) == hash(replace(dialect))
    assert replace(dialect, voice="v") != dialect
    assert repr(dialect) == f"ElevenLabsAgent('agent-1', url='{URL}')"
