"""Dialects by name, settings by words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from voicews import dialects
from voicews.cli.dialects import chosen, made, names, settings
from voicews.cli.failures import one_line
from voicews.config import AudioFormat
from voicews.dialects import (
    DeepgramAgent,
    DeepgramListen,
    Dialect,
    ElevenLabsAgent,
    GeminiLive,
    HomeAssistantAssist,
    OpenAIRealtime,
    Plain,
    Vosk,
    WhisperLive,
)
from voicews.errors import ConfigError


def test_every_dialect_has_a_name() -> None:
    known = names()
    assert known == {
        "deepgram-agent": DeepgramAgent,
        "deepgram-listen": DeepgramListen,
        "elevenlabs-agent": ElevenLabsAgent,
        "gemini-live": GeminiLive,
        "home-assistant-assist": HomeAssistantAssist,
        "openai-realtime": OpenAIRealtime,
        "plain": Plain,
        "vosk": Vosk,
        "whisper-live": WhisperLive,
    }
    assert {one.__name__ for one in known.values()} == set(dialects.__all__) - {
        "Dialect",
        "Request",
        "Session",
    }


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("openai", OpenAIRealtime),
        ("OpenAIRealtime", OpenAIRealtime),
        ("elevenlabs", ElevenLabsAgent),
        ("gemini", GeminiLive),
        ("home_assistant", HomeAssistantAssist),
        ("whisperlive", WhisperLive),
        ("deepgram-l", DeepgramListen),
        ("plain", Plain),
    ],
)
def test_the_beginning_of_a_name_is_enough(name: str, dialect: type[Dialect]) -> None:
    assert chosen(name) is dialect


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deepgram", "deepgram-agent or deepgram-listen"),
        ("klingon", r"name; there are deepgram-agent, .*whisper-live"),
        ("opnai", r"\(did you mean openai-realtime\?\)"),
        ("deepgramagnet", r"\(did you mean deepgram-agent\?\)"),
        ("wosk", r"\(did you mean vosk\?\)"),
        ("", "there are deepgram-agent"),
    ],
)
def test_names_that_are_none(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(name)


@pytest.mark.parametrize(
    ("dialect", "name", "text", "value"),
    [
        (OpenAIRealtime, "instructions", "Be brief, {please}.", "Be brief, {please}."),
        (OpenAIRealtime, "instructions", "none", None),
        (OpenAIRealtime, "voice", '{"id": "v"}', {"id": "v"}),
        (OpenAIRealtime, "voice", "cedar", "cedar"),
        (OpenAIRealtime, "turn_detection", "Semantic_VAD", "semantic_vad"),
        (OpenAIRealtime, "turn_detection", "none", None),
        (OpenAIRealtime, "turn_detection", '{"type": "server_vad", "threshold": 0.3}', None),
        (OpenAIRealtime, "speed", "1.2", 1.2),
        (OpenAIRealtime, "rate", "24000", 24000),
        (OpenAIRealtime, "subprotocols", "realtime, more", ("realtime", "more")),
        (OpenAIRealtime, "await_updated", "no", False),
        (DeepgramListen, "endpointing", "false", False),
        (DeepgramListen, "endpointing", "300", 300),
        (DeepgramListen, "utterance_end", "none", None),
        (GeminiLive, "server_tools", '[{"googleSearch": {}}]', None),
        (Vosk, "input_format", "8000", AudioFormat(8000)),
        (Vosk, "phrases", "turn on, turn off", ["turn on", "turn off"]),
        (Vosk, "phrases", '["turn on", "[unk]"]', ["turn on", "[unk]"]),
    ],
)
def test_values_in_words(dialect: type[Dialect], name: str, text: str, value: Any) -> None:
    given = [(name, text)]
    if name != "model" and dialect in (OpenAIRealtime, GeminiLive):
        given.append(("model", "m"))
    if dialect is not Vosk:
        given.append(("key", "k"))
    made_of = getattr(made(dialect, given), name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        assert list(made_of) == list(value)
    elif value is not None or text == "none":
        assert made_of == value
    else:
        assert made_of


@pytest.mark.parametrize("dialect", names().values())
def test_whatever_is_said_is_understood_or_explained(dialect: type[Dialect]) -> None:
    """No setting has a type that the command line does not know."""
    for name in settings(dialect):
        for text in ("\0", "{", "[", "[]", "{}", "1", "none", "true", ""):
            with suppress(ConfigError):
                assert isinstance(made(dialect, [(name, text)]), dialect)


def test_functions_are_for_programs() -> None:
    assert not {"fetch", "decode"} & set(settings(HomeAssistantAssist))
    with pytest.raises(ConfigError, match=r"'fetch' of home-assistant-assist is for programs only"):
        made(HomeAssistantAssist, [("fetch", "curl")])


@pytest.mark.parametrize(
    ("dialect", "given", "message"),
    [
        (
            OpenAIRealtime,
            [("modle", "x")],
            r"openai-realtime has no setting 'modle' \(did you mean model\?\); it has model, instructions",
        ),
        (OpenAIRealtime, [("key", "k")], r"OpenAIRealtime\.model"),
        (GeminiLive, [("key", "k")], r"gemini-live needs --set model=gemini-\S+, or another"),
        (Plain, [], "plain needs the URL of its server"),
        (OpenAIRealtime, [("turn_detection", "x")], "server_vad or semantic_vad or a JSON object or none"),
        (OpenAIRealtime, [("voice", '{"id"')], "a JSON object or text or none"),
        (Vosk, [("words", "maybe")], r"^Vosk\.words must be true or false$"),
        (Vosk, [("chunk", "much")], "a number"),
        (Vosk, [("phrases", "[")], "words with commas between"),
        (Vosk, [("options", "[]")], "a JSON object"),
        (Vosk, [("chunk", "-1")], r"Vosk\.chunk "),
        (GeminiLive, [("server_tools", "x"), ("model", "m")], "a JSON list"),
    ],
)
def test_settings_that_are_wrong(dialect: type[Dialect], given: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(dialect, given)


def test_values_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        made(OpenAIRealtime, [("model", "m"), ("key", "two words of hunter2")])
    assert "hunter2" not in str(caught.value)
    assert "--set" not in str(caught.value)  # where it could be seen in the list of processes


@pytest.mark.parametrize("dialect", [one for one in names().values() if one.key_variables])
def test_a_missing_key_is_asked_for_in_the_environment(
    dialect: type[Dialect], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in dialect.key_variables:
        monkeypatch.delenv(variable, raising=False)
    needed = {"model": "m", "agent_id": "a", "think": "m", "private": "yes"}
    given = [(name, value) for name, value in needed.items() if name in settings(dialect)]
    with pytest.raises(ConfigError) as caught:
        made(dialect, given)
    told = one_line(caught.value)
    assert told in [
        f"the key is missing: set {variable} in the environment" for variable in dialect.key_variables
    ]


def test_values_from_elsewhere() -> None:
    made_of = made(Plain, [("await_ready", "yes")], url="ws://localhost", headers={"X": "y"})
    assert (made_of.request().url, made_of.request().headers["X"]) == ("ws://localhost", "y")
    with pytest.raises(ConfigError, match="has no setting 'resume'"):
        made(Vosk, [], resume=True)
