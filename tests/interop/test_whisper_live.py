"""Our client and the real WhisperLive server, which hears English; their client and our fake."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from websockets.sync.client import connect

from tests.interop.sounds import SPEECH, frames
from tests.interop.venvs import run, serving
from tests.testing.caller import QUICK, Caller
from voicews.assistant.speech import word_error_rate
from voicews.config import Buffers, Timeouts
from voicews.dialects import WhisperLive
from voicews.errors import HandshakeRejected, ServiceError
from voicews.events import Connected, Transcript
from voicews.testing import FakeWhisperLive

FIRST, LAST = SPEECH / "05-first.wav", SPEECH / "07-goodbye.wav"
PATIENT = replace(
    QUICK, timeouts=Timeouts(session=60.0, close=60.0), buffers=Buffers(outbox=30.0, max_audio_age=30.0)
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


def wait_until_spoken(caller: Caller) -> None:
    """Until the client has sent all that the microphone had."""
    never = threading.Event()
    frames = caller.microphone.frames
    while frames or not caller.client.stats().frames_sent:
        never.wait(0.01)


@pytest.mark.parametrize("encoding", ["float32", "int16"])
def test_the_last_words_are_heard_although_the_server_does_not_wait_for_them(encoding: str) -> None:
    """The client closes as soon as the last word is out of the mouth."""
    with serving("whisper_live", "whisper_live_server", "{}") as port:
        dialect = WhisperLive(f"ws://127.0.0.1:{port}", language="en", encoding=encoding, settle=20.0)  # type: ignore[arg-type]
        with Caller(dialect, config=PATIENT) as caller:
            caller.hear(Connected, timeout=60)
            caller.microphone.frames.extend(frames(FIRST))
            wait_until_spoken(caller)
        words = " ".join(turn.text for turn in caller.client.history)
        assert word_error_rate("Please remind me what I said first.", words) < 0.3, words


def test_each_segment_is_told_once_while_one_speaks_on() -> None:
    """The server sends each finished segment again and again."""
    with serving("whisper_live", "whisper_live_server", "{}") as port:
        dialect = WhisperLive(f"ws://127.0.0.1:{port}", language="en", words=True)
        with Caller(dialect, config=PATIENT) as caller:
            caller.hear(Connected, timeout=60)
            caller.microphone.frames.extend(frames(FIRST))
            first = caller.hear(Transcript, which=lambda one: one.final, timeout=60)
            assert "remind" in first.text.lower()
            assert caller.heard(Transcript)[0].final is False
            caller.microphone.frames.extend(frames(LAST))
            last = caller.hear(Transcript, 2, which=lambda one: one.final, timeout=60)
            assert "goodbye" in last.text.lower()
        finals = [one.text for one in caller.heard(Transcript) if one.final]
        assert len(finals) == len(set(finals)), finals


def test_a_server_that_is_full_and_one_that_has_a_key() -> None:
    settings = json.dumps({"max_clients": 1, "api_key": "right"})
    with serving("whisper_live", "whisper_live_server", settings) as port:
        url = f"ws://127.0.0.1:{port}"
        with Caller(WhisperLive(url, key="right", language="en"), config=PATIENT) as caller:
            caller.hear(Connected, timeout=60)
            late = Caller(WhisperLive(url, key="right", language="en"))
            with pytest.raises(ServiceError, match="full"):
                late.client.run()
        with pytest.raises(HandshakeRejected, match="401"):
            Caller(WhisperLive(url, key="wrong")).client.run()


def test_a_session_that_lasted_too_long_is_followed_by_another() -> None:
    with (
        serving("whisper_live", "whisper_live_server", '{"max_connection_time": 2}') as port,
        Caller(WhisperLive(f"ws://127.0.0.1:{port}", language="en"), config=PATIENT) as caller,
    ):
        caller.hear(Connected, 2, timeout=60)


def test_what_the_server_does_not_tell_is_as_the_fake_does_not_tell_it() -> None:
    """Both hang up at once, with 1000, for the end of the sound, for text, and for settings that lack."""
    setup = json.dumps({"uid": "u", "language": "en", "task": "transcribe", "model": "tiny.en"})
    with serving("whisper_live", "whisper_live_server", "{}") as port, FakeWhisperLive() as fake:
        told = []
        for url in (f"ws://127.0.0.1:{port}", fake.url):
            scripts: list[list[str | bytes]] = [
                [setup, b"END_OF_AUDIO"],
                [setup, "END_OF_AUDIO"],
                ['{"uid": "u"}'],
            ]
            for messages in scripts:
                with connect(url) as client:
                    for message in messages:
                        client.send(message)
                    said = [sorted(json.loads(answer)) for answer in client]
                    told.append((said, client.close_code))
        assert told[:3] == told[3:]
        assert told[0] == ([["backend", "message", "uid"]], 1000)


def test_their_client_understands_the_fake() -> None:
    with FakeWhisperLive(hears=["Turn on the light.", "Thank you."]) as fake:
        speech = [[1.5, True], [0.5, False], [1.0, True], [0.5, False]]
        heard = run("whisper_live", "whisper_live_client", str(fake.port), said=speech)
        assert heard["ended"]
        assert [segment["text"].strip() for segment in heard["transcript"]] == [
            "Turn on the light.",
            "Thank you.",
        ]
        assert not fake.failures
