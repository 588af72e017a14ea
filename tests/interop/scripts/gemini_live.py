"""Google's own client in a conversation: ``gemini_live.py ADDRESS CERTIFICATE``.

It speaks a turn, lets a function be called, interrupts, and takes the session up again.  Prints
what it understood.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - Google's client knows no threads
import json
import os
import struct
import sys
import warnings

os.environ["SSL_CERT_FILE"] = sys.argv[2]

from google import genai
from google.genai import types

LOUD = struct.pack("<h", 4000) * 1600
QUIET = bytes(3200)
ADDRESS = sys.argv[1].replace("wss://", "https://")
FUNCTION = types.FunctionDeclaration(
    name="light",
    description="Switch the light.",
    parameters_json_schema={"type": "object", "properties": {"on": {"type": "boolean"}}},
)


def config(handle: str | None = None) -> types.LiveConnectConfig:
    return types.LiveConnectConfig(
        response_modalities=["AUDIO"],
        system_instruction="Be brief.",
        input_audio_transcription={},
        output_audio_transcription={},
        session_resumption={"handle": handle},
        context_window_compression={"sliding_window": {}},
        realtime_input_config={"automatic_activity_detection": {"silence_duration_ms": 200}},
        tools=[types.Tool(function_declarations=[FUNCTION])],
    )


async def speak(session: genai.live.AsyncSession) -> None:
    for pcm in [LOUD] * 5 + [QUIET] * 3:
        await session.send_realtime_input(audio=types.Blob(data=pcm, mime_type="audio/pcm;rate=16000"))


async def hear(session: genai.live.AsyncSession) -> list[types.LiveServerMessage]:
    return [message async for message in session.receive()]


def summary(messages: list[types.LiveServerMessage]) -> dict[str, object]:
    contents = [message.server_content for message in messages if message.server_content]
    return {
        "heard": "".join(c.input_transcription.text for c in contents if c.input_transcription),
        "said": "".join(c.output_transcription.text for c in contents if c.output_transcription),
        "seconds": sum(len(message.data or b"") for message in messages) / 48000,
        "interrupted": any(c.interrupted for c in contents),
        "complete": bool(contents and contents[-1].turn_complete),
    }


async def main() -> None:
    warnings.simplefilter("ignore")
    client = genai.Client(api_key="right", http_options={"base_url": ADDRESS})
    facts: dict[str, object] = {}
    async with client.aio.live.connect(model="any", config=config()) as session:
        await speak(session)
        facts["spoken"] = summary(await hear(session))
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Light!"}]})
        async for message in session.receive():
            if message.tool_call:
                [call] = message.tool_call.function_calls
                facts["call"] = {"name": call.name, "args": call.args}
                response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "on"})
                await session.send_tool_response(function_responses=response)
            if message.session_resumption_update:
                facts["handle"] = message.session_resumption_update.new_handle
            if message.server_content and message.server_content.turn_complete:
                break
        await session.send_realtime_input(text="A story, please.")
        async for message in session.receive():
            if message.server_content:
                break
        await speak(session)
        facts["cut"] = summary(await hear(session))
        facts["answered"] = summary(await hear(session))
        await session.send_realtime_input(text="Go away.")
        async for message in session.receive():
            if message.go_away:
                facts["go_away"] = message.go_away.time_left
                break
            if message.session_resumption_update:
                facts["handle"] = message.session_resumption_update.new_handle
    async with client.aio.live.connect(model="any", config=config(str(facts["handle"]))) as session:
        await session.send_realtime_input(text="Still there?")
        facts["resumed"] = summary(await hear(session))
    print(json.dumps(facts))


asyncio.run(main())
