"""Deepgram's own client, transcribing: ``deepgram_listen.py ADDRESS``; loud sound goes up.

Prints what it understood: the class of each message, and its words where it has any.
"""

from __future__ import annotations

import json
import struct
import sys

from deepgram import DeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Configure

LOUD = struct.pack("<h", 4000) * 1600
address = sys.argv[1]
place = DeepgramClientEnvironment(base=address, production=address, agent=address, agent_rest=address)
heard: list[list[object]] = []


def note(message: object) -> None:
    channel = getattr(message, "channel", None)
    alternatives = getattr(channel, "alternatives", None)
    words = alternatives[0].transcript if alternatives else None
    heard.append([type(message).__name__, words, bool(getattr(message, "is_final", False))])


client = DeepgramClient(api_key="right", environment=place)
with client.listen.v1.connect(
    model="nova-3",
    encoding="linear16",
    sample_rate=16000,
    interim_results="true",
    vad_events="true",
    utterance_end_ms="1000",
) as connection:
    connection.on(EventType.MESSAGE, note)
    connection.on(EventType.ERROR, lambda error: heard.append(["error", str(error), False]))
    connection.send_keep_alive()
    connection.send_configure(ListenV1Configure(keyterms=["voicews"]))
    for pcm in [LOUD] * 5 + [bytes(3200)] * 15 + [LOUD] * 5:
        connection.send_media(pcm)
    connection.send_finalize()
    connection.send_media(LOUD)
    connection.send_close_stream()
    connection.start_listening()
print(json.dumps(heard))
