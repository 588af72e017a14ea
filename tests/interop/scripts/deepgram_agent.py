"""Deepgram's own client, with a voice agent: ``deepgram_agent.py ADDRESS``.

It speaks, answers a function's call, writes, and prints what it understood: the class of each
message with its text, and at the end the bytes of sound.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any

from deepgram import DeepgramClient
from deepgram.agent.v1.types import (
    AgentV1InjectUserMessage,
    AgentV1SendFunctionCallResponse,
    AgentV1Settings,
)
from deepgram.environment import DeepgramClientEnvironment

LOUD = struct.pack("<h", 4000) * 1600
address = sys.argv[1]
place = DeepgramClientEnvironment(base=address, production=address, agent=address, agent_rest=address)
settings = AgentV1Settings.model_validate(
    {
        "audio": {
            "input": {"encoding": "linear16", "sample_rate": 16000},
            "output": {"encoding": "linear16", "sample_rate": 24000, "container": "none"},
        },
        "agent": {
            "listen": {"provider": {"type": "deepgram", "version": "v1", "model": "nova-3"}},
            "think": {
                "provider": {"type": "open_ai", "model": "gpt-4o-mini"},
                "functions": [{"name": "get_time", "description": "x", "parameters": {"type": "object"}}],
            },
            "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
            "greeting": "Hello.",
        },
    }
)
heard: list[list[object]] = []
sound: list[int] = []


def read_until(connection: Any, kind: str) -> Any:
    while True:
        message = connection.recv()
        if isinstance(message, bytes):
            sound.append(len(message))
            continue
        heard.append([type(message).__name__, getattr(message, "content", None)])
        if type(message).__name__ == f"AgentV1{kind}":
            return message


client = DeepgramClient(api_key="right", environment=place)
with client.agent.v1.connect() as connection:
    read_until(connection, "Welcome")
    connection.send_settings(settings)
    read_until(connection, "SettingsApplied")
    read_until(connection, "AgentAudioDone")
    connection.send_keep_alive()
    for pcm in [LOUD] * 4 + [bytes(3200)] * 6:
        connection.send_media(pcm)
    [call] = read_until(connection, "FunctionCallRequest").functions
    connection.send_function_call_response(
        AgentV1SendFunctionCallResponse(id=call.id, name=call.name, content="12:00")
    )
    read_until(connection, "AgentAudioDone")
    connection.send_inject_user_message(AgentV1InjectUserMessage(content="Thanks."))
    read_until(connection, "AgentAudioDone")
    for pcm in [LOUD] * 2:
        connection.send_media(pcm)
    connection.send_force_end_turn()
    read_until(connection, "AgentAudioDone")
print(json.dumps({"heard": heard, "sound": sum(sound)}))
