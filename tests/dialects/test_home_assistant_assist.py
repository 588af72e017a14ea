"""Home Assistant's language: settings, promises, a whole conversation, and how answers are fetched."""

from __future__ import annotations

import json
import queue
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.dialects.contract import DialectContract
from tests.dialects.golden import replay
from tests.patience import PATIENCE
from tests.proxies import running_proxy
from voicews import ClientConfig, PlaybackFinished, ProxySettings, ServerError, TlsSettings, VoiceClient
from voicews.audio import NullSink, SilenceSource
from voicews.commands import EndTurn, StartTurn
from voicews.config import AudioFormat
from voicews.dialects import Dialect, HomeAssistantAssist
from voicews.errors import ConfigError, FormatUnsupported
from voicews.events import Event, SoundOffered
from voicews.history import History, Turn
from voicews.testing import FakeAnswer, FakeHomeAssistant
from voicews.testing.certificates import Certificates


def event(kind: str, number: int = 1, **data: Any) -> dict[str, Any]:
    return {"type": "event", "id": number, "event": {"type": kind, "data": data}}


WELCOME: list[dict[str, Any]] = [
    {"type": "auth_required", "ha_version": "2026.11.0"},
    {"type": "auth_ok", "ha_version": "2026.11.0"},
]
RUNS = event("run-start", runner_data={"stt_binary_handler_id": 1, "timeout": 300})
WORDS: list[dict[str, Any]] = [
    {"type": "result", "id": 1, "success": True, "result": None},
    event("stt-start", engine="stt.whisper"),
    event("stt-vad-start", timestamp=300),
    event("stt-vad-end", timestamp=1600),
    event("stt-end", stt_output={"text": "Turn on the light."}),
    event("intent-start", engine="conversation.home_assistant"),
    event("intent-progress", chat_log_delta={"content": "It "}),
    event("intent-end", intent_output={"response": {"speech": {"plain": {"speech": "It is on."}}}}),
    event("tts-start", tts_input="It is on."),
    event("tts-end", tts_output={"url": "/api/tts_proxy/1.wav", "mime_type": "audio/x-wav"}),
    event("run-end"),
    event("error", code="stt-stream-failed", message="no engine"),
    event("wake_word-start", entity_id="wake_word.okay"),
    {"type": "result", "id": 1, "success": False, "error": {"code": "unknown_error", "message": "sorry"}},
    {"type": "auth_invalid", "message": "Invalid access token"},
    *WELCOME,
]


class HomeAssistantContract(DialectContract):
    @property
    def server_words(self) -> Sequence[dict[str, Any]]:
        return WORDS

    def said_sound(self, message: str | bytes) -> bytes:
        return message[1:] if isinstance(message, bytes) else b""

    def server_sound(self, pcm: bytes) -> str | bytes | None:
        return None  # it comes by HTTP

    @property
    def secrets(self) -> Sequence[str]:
        return "long-lived-token", "proxy-password"


class TestContract(HomeAssistantContract):
    def dialect(self) -> Dialect:
        return HomeAssistantAssist(
            "ws://ha.local:8123", key="long-lived-token", headers={"X-Proxy": "proxy-password"}
        )

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return [json.dumps(word) for word in (*WELCOME, RUNS)]


class TestContractOfTurns(HomeAssistantContract):
    """Between start_talking() and stop_talking() only."""

    def dialect(self) -> Dialect:
        return HomeAssistantAssist(
            "wss://ha.example/core/api/websocket",
            key="long-lived-token",
            listen="turns",
            headers={"X-Proxy": "proxy-password"},
        )

    @property
    def handshake(self) -> Sequence[str | bytes]:
        return [json.dumps(word) for word in WELCOME]

    def start(self, *arguments: Any, **more: Any) -> Any:
        """In the middle of a turn, for only there is sound."""
        session = super().start(*arguments, **more)
        session.send(StartTurn())
        session.receive(json.dumps(RUNS))
        session.messages_to_send()
        return session


# -- settings ------------------------------------------------------------------------------------


def house(**settings: Any) -> HomeAssistantAssist:
    return HomeAssistantAssist(**{"url": "ws://ha.local:8123", "key": "long-lived-token", **settings})


def first_run(dialect: HomeAssistantAssist) -> dict[str, Any]:
    session = dialect.begin(None, History())
    for word in WELCOME:
        session.receive(json.dumps(word))
    run: dict[str, Any] = json.loads(session.messages_to_send()[-1])
    return run


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, {"start_stage": "stt", "end_stage": "tts", "input": {"sample_rate": 16000}, "timeout": 300.0}),
        ({"pipeline": "01x"}, {"pipeline": "01x"}),
        ({"speaks": False, "run_timeout": 60}, {"end_stage": "intent", "timeout": 60}),
        (
            {"listen": "wake_word"},
            {"start_stage": "wake_word", "input": {"sample_rate": 16000, "timeout": 0}},
        ),
        (
            {"options": {"device_id": "d", "input": {"volume_multiplier": 2.0}}},
            {"device_id": "d", "input": {"sample_rate": 16000, "volume_multiplier": 2.0}},
        ),
        ({"input_format": AudioFormat(44100)}, {"input": {"sample_rate": 44100}}),
    ],
)
def test_the_run_has_the_settings(settings: dict[str, Any], said: dict[str, Any]) -> None:
    assert said.items() <= first_run(house(**settings)).items()


def test_no_pipeline_is_the_preferred_one() -> None:
    assert "pipeline" not in first_run(house())


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("ws://ha.local:8123", "ws://ha.local:8123/api/websocket"),
        ("wss://ha.example/", "wss://ha.example/api/websocket"),
        ("ws://ha.local/core/api/websocket", "ws://ha.local/core/api/websocket"),
    ],
)
def test_the_path_need_not_be_given(url: str, full: str) -> None:
    assert house(url=url).request().url == full


def test_the_token_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASS_TOKEN", "environment-token")
    assert HomeAssistantAssist().key == "environment-token"
    monkeypatch.delenv("HASS_TOKEN")
    with pytest.raises(ConfigError, match="HASS_TOKEN"):
        HomeAssistantAssist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://ha.local:8123"}, r"HomeAssistantAssist\.url"),
        (
            {"url": "ws://ha.local:8123/lovelace?token=hunter2"},
            "empty or end in /api/websocket",
        ),
        ({"key": "two words"}, r"HomeAssistantAssist\.key"),
        ({"pipeline": ""}, r"HomeAssistantAssist\.pipeline"),
        ({"listen": "sometimes"}, r"'always', 'wake_word' or 'turns'"),
        ({"options": {"a": object()}}, r"HomeAssistantAssist\.options"),
        ({"run_timeout": 0}, r"HomeAssistantAssist\.run_timeout"),
        ({"input_format": AudioFormat(16000, 2)}, r"HomeAssistantAssist\.input_format"),
        ({"headers": {"X": 1}}, r"HomeAssistantAssist\.headers"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        house(**settings)
    assert "hunter2" not in str(caught.value)


def test_turns_are_yours_only_where_you_want_them() -> None:
    assert {StartTurn, EndTurn} <= house(listen="turns").accepts
    assert not {StartTurn, EndTurn} & house().accepts
    assert house().output_format == AudioFormat(22050)


# -- answers that are fetched --------------------------------------------------------------------


def not_asked(url: str, headers: Mapping[str, str]) -> bytes:
    raise AssertionError("the dialect has a function of its own")


@pytest.mark.parametrize(
    ("url", "offered", "headers"),
    [
        ("ws://ha.local:8123", "http://ha.local:8123/api/tts_proxy/1.wav", {"X-Proxy": "pass"}),
        (
            "wss://ha.example/core/api/websocket",
            "https://ha.example/core/api/tts_proxy/1.wav",
            {"X-Proxy": "pass"},
        ),
        ("ws://ha.local:8123", "https://elsewhere.example/1.wav", {}),
        ("ws://ha.local:8123", "http://ha.local:81234/1.wav", {}),
    ],
)
def test_headers_go_to_the_house_alone(url: str, offered: str, headers: dict[str, str]) -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def note(address: str, shown: Mapping[str, str]) -> bytes:
        asked.append((address, shown))
        return b"file"

    sound = (b"\1\0", AudioFormat(8000))
    dialect = house(url=url, headers={"X-Proxy": "pass"}, fetch=note, decode=lambda file: sound)
    assert dialect.collect(SoundOffered(offered, "audio/x-wav"), not_asked) == sound
    assert asked == [(offered, headers)]


def test_what_is_no_sound_is_an_error() -> None:
    with pytest.raises(FormatUnsupported, match="cannot be decoded"):
        house().collect(
            SoundOffered("http://ha.local:8123/1.mp3", "audio/mpeg"),
            lambda _url, _headers: b"ID3\4 nothing more",
        )


class Patient(NullSink):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = bytearray()

    def write(self, pcm: bytes) -> None:
        self.heard += pcm
        super().write(pcm)


@pytest.mark.parametrize("kind", [None, "http", "socks5h"])
def test_the_sound_comes_by_the_way_of_the_conversation(kind: str | None) -> None:
    """A house with an authority of its own, behind a proxy: what lets the client in lets it fetch, too."""
    pcm = b"\1\2" * 400
    with ExitStack() as stack:
        certificates = stack.enter_context(Certificates())
        server = stack.enter_context(
            FakeHomeAssistant(answers=[FakeAnswer("Yes.", pcm=pcm)], tls=certificates.context())
        )
        asked = stack.enter_context(running_proxy(kind)) if kind else None
        way = {"proxy": ProxySettings(url=f"{kind}://127.0.0.1:{asked.port}")} if asked else {}
        config = ClientConfig(tls=TlsSettings(ca_file=certificates.ca_file), **way)
        speaker, done = Patient(), queue.Queue[Event]()
        voice = VoiceClient(house(url=server.url), microphone=SilenceSource(), speaker=speaker, config=config)
        for kind_of_event in (PlaybackFinished, ServerError):
            voice.on(kind_of_event, done.put)
        with voice:
            voice.send_text("Are you there?")
            assert isinstance(done.get(timeout=PATIENCE), PlaybackFinished)
        assert pcm in speaker.heard
        assert asked is None or asked.ways == [("127.0.0.1", server.port)] * 2


def test_a_whole_conversation() -> None:
    history = replay(house(input_format=AudioFormat(4000)), "home_assistant_assist")
    assert history.turns == (
        Turn("user", "Turn on the light."),
        Turn("assistant", "Which one?"),
        Turn("user", "The red one."),
        Turn("assistant", "It is on."),
        Turn("user", "What time is it?"),
        Turn("assistant", "Late."),
        Turn("user", "Good night."),
        Turn("assistant", "Sleep well."),
    )
