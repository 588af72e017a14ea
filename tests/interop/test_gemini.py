"""Google's own client and models: the fake satisfies them, and so does all that we say to it."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.interop.venvs import run
from tests.testing.caller import Caller
from voicews import Connected, Interrupted, ResponseDone, Token, ToolCall
from voicews.commands import EndTurn, SendAudio, SendText, StartTurn, ToolResult
from voicews.dialects import GeminiLive
from voicews.history import History, Turn
from voicews.testing import FakeAnswer, FakeConnection, FakeGeminiConnection, FakeGeminiLive
from voicews.tools import Tool

STORY = FakeAnswer("a long story about nothing at all", bytes(24000 * 2 * 20))
LIGHT = FakeAnswer("It is on.", call=("light", {"on": True}))

ANSWERED = {"heard": "", "said": "Yes?", "seconds": 0.2, "interrupted": False, "complete": True}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]


def light(on: bool, colour: str | None = None, scenes: list[str] | None = None) -> str:
    """Switch the light.

    Args:
        on: or off.
    """
    return "done"


def in_json(messages: tuple[str | bytes, ...]) -> list[Any]:
    return [json.loads(message) for message in messages]


def check(**messages: list[Any]) -> None:
    """Every message is valid by Google's models, which allow no field that they do not know."""
    assert all(messages.values())
    assert run("gemini", "gemini_models", said=messages) == []


def kinds(connections: tuple[FakeConnection, ...]) -> set[str]:
    return {name for one in connections for message in in_json(one.received) for name in message}


def test_the_models_are_strict() -> None:
    wrong = {"setup": {"model": "m", "colour": "red"}}
    complaints = run("gemini", "gemini_models", said={"client": [wrong], "server": [{"goAway": {"time": 1}}]})
    assert len(complaints) == 2


def test_a_conversation_by_our_client() -> None:
    answers: list[FakeAnswer | str] = ["Hello yourself.", LIGHT, STORY, "Yes?"]
    with FakeGeminiLive(hears=["Hello.", "Stop."], answers=answers, pace=0.05) as server:
        dialect = GeminiLive(
            "any",
            key="k",
            url=server.url,
            instructions="Be brief.",
            voice="Kore",
            language="de-DE",
            turn_detection={"silenceDurationMs": 300, "prefixPaddingMs": 20},
            server_tools=[{"googleSearch": {}}],
        )
        with Caller(dialect, tools=[Tool.of(light)]) as caller:
            caller.speaker.speed = 1.0
            caller.speak(0.3, then=0.6)
            caller.hear(ResponseDone)
            caller.client.send_text("Light!")
            caller.hear(ToolCall)
            caller.hear(ResponseDone, 2)
            caller.client.send_text("A story.")
            caller.hear(Token, which=lambda one: one.text == "a")
            caller.speak(0.3, then=0.6)
            caller.hear(Interrupted)
            caller.hear(ResponseDone, 4)
            server.connection().go_away(60)
            caller.hear(Connected, 2)
            server.forget_sessions()
            server.drop()
            caller.hear(Connected, 3)
        check(
            client=[message for one in server.connections for message in in_json(one.received)],
            server=[message for one in server.connections for message in in_json(one.sent)],
        )
        assert kinds(server.connections) == {"setup", "realtimeInput", "toolResponse", "clientContent"}
        heard = {name for one in server.connections for message in in_json(one.sent) for name in message}
        assert heard >= {"setupComplete", "serverContent", "toolCall", "sessionResumptionUpdate", "goAway"}


def test_what_is_said_more_rarely() -> None:
    history = History(turns=(Turn("user", "Hello."), Turn("assistant", "Hi.")))
    dialect = GeminiLive(
        "any", key="k", turn_detection=None, text_input="content", output="text", compress=False
    )
    session = dialect.begin(None, history)
    said = session.messages_to_send()
    session.receive('{"setupComplete": {}}')
    commands = [
        StartTurn(),
        SendAudio(bytes(640), 0.0),
        EndTurn(),
        SendText("Hello."),
        ToolResult("1", error="no"),
        ToolResult("2", [1, 2]),
    ]
    for command in commands:
        session.send(command)
    check(client=in_json((*said, *session.messages_to_send())))


def test_a_conversation_by_their_client(tmp_path: Path) -> None:
    authority, ours = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    certificate = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    answers: list[FakeAnswer | str] = ["Hello yourself.", LIGHT, STORY, "Yes?", "I am."]

    def go_away(connection: FakeGeminiConnection, message: str | bytes) -> bool:
        asked = "Go away." in str(message)
        if asked:
            connection.go_away(50)
        return asked

    with FakeGeminiLive(
        hears=["Hello.", "Stop."], answers=answers, pace=0.02, key="right", tls=ours, on_message=go_away
    ) as server:
        facts = run("gemini", "gemini_live", server.address, str(certificate))
        assert server.failures == ()
        assert [one.close_code for one in server.connections] == [1000, 1000]
    assert facts.pop("cut").items() >= {"interrupted": True, "complete": True}.items()
    assert facts == {
        "spoken": {
            "heard": "Hello.",
            "said": "Hello yourself.",
            "seconds": pytest.approx(0.75),
            "interrupted": False,
            "complete": True,
        },
        "call": {"name": "light", "args": {"on": True}},
        "answered": ANSWERED,
        "go_away": "50s",
        "handle": "handle-4",
        "resumed": ANSWERED | {"said": "I am.", "seconds": pytest.approx(0.25)},
    }
