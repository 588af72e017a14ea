"""ElevenLabs' own client in a call: ``elevenlabs_agent.py ADDRESS BYTES GREETING``, of HTTP, of sound,
and what is to be heard first.

It signs in, hears the greeting, speaks, interrupts, answers a function's call, writes, and
prints what it understood, in order, and the bytes of sound.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
from collections.abc import Callable

from elevenlabs import ElevenLabs
from elevenlabs.conversational_ai.conversation import AudioInterface, ClientTools, Conversation

LOUD = struct.pack("<h", 4000) * 1600
news = threading.Condition()
heard: list[list[object]] = []
sound: list[int] = []


def note(*what: object) -> None:
    with news:
        heard.append(list(what))
        news.notify_all()


def wait_for(*what: object) -> None:
    with news:
        if not news.wait_for(lambda: list(what) in heard, 20):
            raise SystemExit(f"no {what} among {heard}")


class Sound(AudioInterface):  # type: ignore[misc]
    def start(self, input_callback: Callable[[bytes], None]) -> None:
        self.speak = input_callback
        note("started")

    def stop(self) -> None:
        note("stopped")

    def output(self, audio: bytes) -> None:
        with news:
            sound.append(len(audio))
            news.notify_all()

    def interrupt(self) -> None:
        note("interrupted")


audio, tools = Sound(), ClientTools()
tools.register("get_time", lambda parameters: f"12:00 {parameters['zone']}")
conversation = Conversation(
    ElevenLabs(api_key="right", base_url=sys.argv[1]),
    "agent-1",
    requires_auth=True,
    audio_interface=audio,
    client_tools=tools,
    callback_agent_response=lambda text: note("agent", text),
    callback_agent_response_correction=lambda old, new: note("corrected", old, new),
    callback_user_transcript=lambda text: note("user", text),
    callback_latency_measurement=lambda milliseconds: note("latency", milliseconds),
    callback_disconnect=lambda details: note("over", details.reason),
)
conversation.start_session()
wait_for("started")
wait_for("agent", sys.argv[3])
for pcm in [bytes(3200)] * 10 + [LOUD] * 3 + [bytes(3200)] * 6:
    audio.speak(pcm)
wait_for("agent", "It is noon.")
for pcm in [bytes(3200)] * 10:
    audio.speak(pcm)
conversation.send_contextual_update("It is dark.")
conversation.register_user_activity()
conversation.send_user_message("Thanks.")
wait_for("agent", "You are welcome.")
wait_for("latency", 50)
with news:
    news.wait_for(lambda: sum(sound) >= int(sys.argv[2]), 20)
conversation.end_session()
conversation_id = conversation.wait_for_session_end()
print(json.dumps({"heard": heard, "sound": sum(sound), "id": conversation_id}))
