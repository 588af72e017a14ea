"""Our fake beside OpenAI's client in one environment, with the websockets that this one pins.

``fake_among_vendors.py ROOT``, the checkout; prints what was said, and which threads are left.
"""

from __future__ import annotations

import json
import sys
import threading
from importlib.metadata import version
from typing import Any

sys.path.insert(0, sys.argv[1])

from openai import OpenAI

from voicews.testing import FakeOpenAIRealtime

said: list[Any] = []
with FakeOpenAIRealtime(answers=["Hello yourself."]) as server:
    client = OpenAI(
        api_key="any", base_url="http://127.0.0.1:1/v1", websocket_base_url=f"{server.address}/v1"
    )
    with client.realtime.connect(model="any") as talk:
        talk.response.create()
        while not said or said[-1].type != "response.done":
            said.append(talk.recv())
    code = server.connection().wait_until_closed()
text = [event.transcript for event in said if event.type == "response.output_audio_transcript.done"]
left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
print(json.dumps({"websockets": version("websockets"), "said": text, "code": code, "threads": left}))
