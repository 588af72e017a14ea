"""OpenAI's own client in a conversation: ``openai_realtime.py ADDRESS``.

It speaks a turn, is answered, lets a function be called, interrupts, truncates, and makes a
mistake.  Prints what it understood: the class of each event, by step.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
from typing import Any

from openai import OpenAI

LOUD = base64.b64encode(struct.pack("<h", 4000) * 2400).decode()
QUIET = base64.b64encode(bytes(4800)).decode()
client = OpenAI(api_key="right", base_url="http://127.0.0.1:1/v1", websocket_base_url=sys.argv[1] + "/v1")
steps: dict[str, list[str]] = {}
facts: dict[str, object] = {}

with client.realtime.connect(model="any-model") as talk:

    def hear(step: str, last: str) -> list[Any]:
        events: list[Any] = []
        while not events or events[-1].type != last:
            events.append(talk.recv())
        steps[step] = [type(event).__name__ for event in events]
        return events

    hear("greeting", "session.created")
    talk.session.update(
        session={
            "type": "realtime",
            "instructions": "Be brief.",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "gpt-live-transcribe"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 200},
                },
                "output": {"voice": "marin"},
            },
            "tools": [{"type": "function", "name": "light", "parameters": {"type": "object"}}],
        }
    )
    [updated] = hear("settings", "session.updated")
    facts["instructions"] = updated.session.instructions

    for pcm in [LOUD] * 5 + [QUIET] * 3:
        talk.input_audio_buffer.append(audio=pcm)
    events = hear("spoken turn", "response.done")
    sound = b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
    facts["seconds"] = len(sound) / 48000
    facts["heard"] = [e.transcript for e in events if e.type.endswith("transcription.completed")]
    facts["said"] = [e.transcript for e in events if e.type == "response.output_audio_transcript.done"]
    spoken = next(e.item_id for e in events if e.type == "response.output_audio.delta")

    talk.conversation.item.truncate(item_id=spoken, content_index=0, audio_end_ms=100)
    facts["truncated"] = hear("truncation", "conversation.item.truncated")[-1].audio_end_ms

    talk.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Light!"}]}
    )
    talk.response.create()
    events = hear("call", "response.done")
    call = next(e for e in events if e.type == "response.function_call_arguments.done")
    facts["call"] = [call.name, json.loads(call.arguments)]
    facts["call in the summary"] = events[-1].response.output[0].type
    talk.conversation.item.create(
        item={"type": "function_call_output", "call_id": call.call_id, "output": "{}"}
    )
    talk.response.create()
    facts["then said"] = [
        e.transcript for e in hear("result", "response.done") if e.type.endswith("audio_transcript.done")
    ]

    talk.response.cancel()
    facts["error"] = hear("mistake", "error")[-1].error.code
    talk.input_audio_buffer.clear()
    hear("clearing", "input_audio_buffer.cleared")
print(json.dumps({"steps": steps, "facts": facts}))
