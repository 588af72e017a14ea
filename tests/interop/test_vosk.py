"""Our client and the real Vosk engine, behind a small server with the manners of Vosk's own.

The only model that can be had as a package is a Korean one, and the bundled speech is English:
what it hears makes no sense, but it is the engine's own, and must be the same whichever way the
sound came to it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.interop.sounds import SPEECH, frames
from tests.interop.venvs import run, serving
from tests.patience import PATIENCE
from tests.testing.caller import QUICK, Caller
from voicews.config import Buffers
from voicews.dialects import Vosk
from voicews.events import CaptureFinished, Transcript
from voicews.testing import FakeVosk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]

LONG, SHORT = SPEECH / "05-first.wav", SPEECH / "07-goodbye.wav"


def test_the_engine_hears_through_us_what_it_hears_directly() -> None:
    direct: list[dict[str, Any]] = run("vosk", "vosk_direct", str(LONG))
    words = [word for result in direct for word in result["result"]]
    assert words
    with serving("vosk", "vosk_server") as port:
        # The file is read at once, and nothing of it may be dropped while the client still connects.
        patient = replace(QUICK, buffers=Buffers(outbox=30.0, max_audio_age=30.0))
        caller = Caller(Vosk(f"ws://127.0.0.1:{port}"), config=patient)
        # Silence ends no utterance here, so that the engine gets the same sound in both cases.
        caller.microphone.endless = False
        caller.microphone.frames.extend(frames(LONG))
        with caller:
            caller.hear(CaptureFinished)
        finals = [event for event in caller.heard(Transcript) if event.final]
        assert [one for one in caller.heard(Transcript) if not one.final], "partials come before the end"
        assert " ".join(final.text for final in finals) == " ".join(result["text"] for result in direct)
        told = [word for final in finals for word in final.words]
        assert [word.text for word in told] == [word["word"] for word in words]
        for ours, theirs in zip(told, words, strict=True):
            assert (ours.start, ours.end) == pytest.approx((theirs["start"], theirs["end"]), abs=0.1)
        assert all(0 < (word.confidence or 0) <= 1 for word in told)


def test_push_to_talk_ends_a_turn_at_once() -> None:
    with serving("vosk", "vosk_server") as port, Caller(Vosk(f"ws://127.0.0.1:{port}")) as caller:
        caller.microphone.frames.extend(frames(SHORT))
        caller.hear(Transcript)
        caller.client.stop_talking()
        assert caller.hear(Transcript, which=lambda one: one.final).text


def test_the_fake_is_as_strict_as_the_engine() -> None:
    """Both take the same messages, answer as often, and hang up for the same one."""
    with serving("vosk", "vosk_server") as port, FakeVosk() as fake:
        answers, ends = [], []
        for url in (f"ws://127.0.0.1:{port}", fake.url):
            with connect(url) as client:
                client.send('{"config": {"sample_rate": 16000, "words": true}}')
                for _ in range(3):
                    client.send(bytes(3200))
                client.send('{"reset" : 1}')
                client.send(bytes(3200))
                client.send('{"eof" : 1}')
                answers.append([sorted(json.loads(answer)) for answer in client])
                ends.append(client.close_code)
            with connect(url) as client:
                client.send(bytes(3200))
                client.recv(PATIENCE)
                client.send('{"eof":1}')
                with pytest.raises(ConnectionClosed):
                    client.recv(PATIENCE)
                ends.append(client.close_code)
        assert answers[0] == answers[1] == [*[["partial"]] * 3, ["text"], ["partial"], ["text"]]
        assert ends == [1000, 1011] * 2
