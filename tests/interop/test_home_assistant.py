"""Our client in a real Home Assistant, which hears, switches a lamp, and answers; the fake beside it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.interop.sounds import spoken
from tests.interop.venvs import serving
from tests.patience import PATIENCE
from tests.testing.caller import Caller, loud
from voicews import AudioReceived, ClientConfig, ResponseDone, ServerError, ServiceError, SpeechStopped, Turn
from voicews.dialects import HomeAssistantAssist
from voicews.testing import FakeHomeAssistant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


class House(NamedTuple):
    url: str
    token: str

    def lamp(self) -> str:
        """As Home Assistant itself knows it."""
        asked = urllib.request.Request(
            f"http{self.url[2:]}/api/states/input_boolean.kitchen_light",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return str(json.load(answer)["state"])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with serving("home_assistant", "home_assistant_server") as (port, token):
        yield House(f"ws://127.0.0.1:{port}", token)


def test_a_spoken_order_switches_the_lamp(house: House, tmp_path: Path) -> None:
    """Its voice detection ends the turn, and its answer comes as the MP3 that it makes of all answers."""
    # The next run begins at once, so that a test need not guess when somebody listens again.
    with Caller(HomeAssistantAssist(house.url, key=house.token, barge_in=True)) as caller:
        for number, state in enumerate(["on", "off"], 1):
            said = f"turn {state} the kitchen light"
            caller.microphone.frames.extend(spoken(said, tmp_path / "order.wav"))
            caller.hear(SpeechStopped, number, timeout=30)
            caller.hear(ResponseDone, number, timeout=30)
            assert house.lamp() == state
            assert caller.client.history.turns[-2] == Turn("user", said)
            assert caller.client.history.turns[-1].text.startswith(f"Turned {state} the ")
            sound = caller.heard(AudioReceived)
            caller.speaker.wait_for(sum(len(one.pcm) for one in sound))
        assert len(caller.client.history) == 4
        assert sum(one.format.seconds(one.pcm) for one in sound) > 1.0
        assert not caller.heard(ServerError)


def test_a_written_order_and_a_turn_by_hand(house: House, tmp_path: Path) -> None:
    config = ClientConfig(push_to_talk=True)
    dialect = HomeAssistantAssist(house.url, key=house.token, listen="turns", speaks=False)
    with Caller(dialect, config=config) as caller:
        caller.client.send_text("Turn on the kitchen light.")
        caller.hear(ResponseDone, timeout=30)
        assert house.lamp() == "on"
        caller.client.start_talking()
        caller.microphone.frames.extend(spoken("Turn off the kitchen light.", tmp_path / "order.wav"))
        caller.wait_until_spoken()
        caller.client.stop_talking()
        caller.hear(ResponseDone, 2, timeout=30)
        assert house.lamp() == "off"
        assert not caller.speaker.written


def test_the_house_says_what_it_does_not_understand(house: House) -> None:
    with Caller(HomeAssistantAssist(house.url, key=house.token, speaks=False)) as caller:
        for number in (1, 2):
            caller.client.send_text("Colourless green ideas sleep furiously.")
            caller.hear(ResponseDone, number, timeout=30)
        assert len({turn.text for turn in caller.client.history if turn.role == "assistant"}) == 1
        assert caller.client.history.turns[-1].text.startswith("Sorry")


def test_a_wrong_token_and_a_pipeline_that_is_not_there(house: House) -> None:
    with pytest.raises(ServiceError, match="Invalid access token"):
        Caller(HomeAssistantAssist(house.url, key="wrong")).client.run()
    with pytest.raises(ServiceError, match="pipeline") as refused:
        Caller(HomeAssistantAssist(house.url, key=house.token, pipeline="no")).client.run()
    assert refused.value.code == "pipeline-not-found"


LISTEN = {"start_stage": "stt", "end_stage": "tts", "input": {"sample_rate": 16000}}
ASK = {"start_stage": "intent", "end_stage": "tts", "input": {"text": "turn on the kitchen light"}}


def visit(url: str, token: str, pcm: bytes) -> list[Any]:
    """What a guest is told who does everything right, and then everything wrong."""
    told: list[Any] = []
    with connect(f"{url}/api/websocket", close_timeout=5) as link:

        def hear() -> Any:
            return json.loads(link.recv(30))

        def stages(number: int, last: str = "run-end") -> Any:
            """Those of a run, with the names of what each tells."""
            while True:
                message = hear()
                assert message["id"] == number
                if message["type"] == "result":
                    told.append([message["success"], message["result"]])
                    continue
                event = message["event"]
                kind, data = event["type"], event.get("data") or {}
                # Newer houses tell an answer's words one by one, and who understood.
                if kind != "intent-progress":
                    told.append([kind, sorted(data.keys() - {"processed_locally"})])
                if kind == last:
                    return data

        assert hear()["type"] == "auth_required"
        link.send(json.dumps({"type": "auth", "access_token": token}))
        assert hear()["type"] == "auth_ok"
        link.send(json.dumps({"id": 1, "type": "assist_pipeline/run", **LISTEN}))
        handler = bytes([stages(1, "run-start")["runner_data"]["stt_binary_handler_id"]])
        for start in range(0, len(pcm), 640):
            link.send(handler + pcm[start : start + 640])
        stages(1)
        link.send(json.dumps({"id": 2, "type": "assist_pipeline/run", **ASK}))
        answer = stages(2, "intent-end")["intent_output"]
        told.append(
            ["answer", sorted(answer["response"]["speech"]), sorted(answer["response"]["speech"]["plain"])]
        )
        sound = stages(2, "tts-end")["tts_output"]
        stages(2)
        assert sound["url"].startswith("/api/tts_proxy/")
        wrong: list[dict[str, Any]] = [
            {"id": 3, "type": "sing"},
            {"id": 3, "type": "ping"},
            {"id": 4, "type": "assist_pipeline/run"},
            {"id": 5, "type": "assist_pipeline/run", **LISTEN, "pipeline": "no"},
            {"id": 6, "type": "unsubscribe_events", "subscription": 1},
            {"id": 7, "type": "ping"},
        ]
        for message in wrong:
            link.send(json.dumps(message))
            answer = hear()
            told.append([answer["type"], answer.get("success"), answer.get("error", {}).get("code")])
    with connect(f"{url}/api/websocket", close_timeout=5) as link:
        link.recv(30)
        link.send(json.dumps({"type": "auth", "access_token": "wrong"}))
        told.append(sorted(json.loads(link.recv(30))))
        with pytest.raises(ConnectionClosed):
            link.recv(30)
    return told


def test_the_fake_tells_what_the_house_tells(house: House, tmp_path: Path) -> None:
    """Stage for stage, and refusal for refusal."""
    speech = b"".join(spoken("Turn on the kitchen light.", tmp_path / "order.wav")) + bytes(64000)
    with FakeHomeAssistant(key="right") as fake:
        theirs = visit(house.url, house.token, speech)
        ours = visit(fake.address, "right", bytes(9600) + loud(1.0) + bytes(64000))
    assert ours == theirs
