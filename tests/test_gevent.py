"""A talk where gevent has put greenlets in the place of threads, in a process of its own."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.line import Authority
from tests.peer import PATIENCE, Call, peer

TALK = """
from gevent import monkey
monkey.patch_all()
import queue, sys
from voicews import AudioFormat, ClientConfig, PlaybackStarted, TlsSettings, Transcript, VoiceClient
from voicews.audio import NullSink, SilenceSource
from voicews.buffers import DropOldestQueue

url, ca_file = sys.argv[1], sys.argv[2] or None
assert issubclass(DropOldestQueue, queue.Queue)
config = ClientConfig(tls=TlsSettings(ca_file=ca_file))
voice = VoiceClient(url, microphone=SilenceSource(), speaker=NullSink(), config=config)
lines, sounds = queue.Queue(), queue.Queue()
voice.on(Transcript, lines.put)
voice.on(PlaybackStarted, sounds.put)
for turn in range(2):
    with voice:
        voice.send_text("hello")
        print(lines.get(timeout=10).text, type(sounds.get(timeout=10)).__name__)
    print(voice.state.name)
"""

QUEUES = """
import queue
standard = queue.Queue
from voicews.buffers import DropOldestQueue
before = DropOldestQueue(2)
from gevent import monkey
monkey.patch_queue()
assert queue.Queue is not standard
after = DropOldestQueue[int](2, droppable=lambda item: item < 10)
assert isinstance(after, queue.Queue) and isinstance(after, DropOldestQueue)
assert type(after) is type(DropOldestQueue(1)), "made once"
for some in (before, after):
    for item in (1, 2, 3):
        some.put(item)
    assert (some.qsize(), some.full(), some.empty(), some.maxsize) == (2, True, False, 2)
    assert (some.get(), some.get_nowait()) == (2, 3)
    some.task_done(); some.task_done(); some.join()
    some.interrupt()
    try:
        some.get(timeout=10)
        raise AssertionError("not interrupted")
    except queue.Empty:
        pass
    some.shutdown()
    assert some.shut and some.is_shutdown
    print(some, repr(some), dict(some.dropped))
"""


def answer(call: Call) -> None:
    call.send({"type": "transcript", "text": "good day"})
    call.send(bytes(6400))


def output_of(program: str, *arguments: str) -> list[str]:
    strict = ["-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *strict, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_talk(tmp_path: Path, tls: bool) -> None:
    authority = Authority(tmp_path)
    context: ssl.SSLContext | None = authority.server_context() if tls else None
    with peer(ssl=context) as server:
        server.react = answer
        url = server.url.replace("ws:", "wss:") if tls else server.url
        lines = output_of(TALK, url, authority.ca_file if tls else "")
        assert lines == ["good day PlaybackStarted", "CLOSED"] * 2
        for number in (1, 2):
            call = server.call(number)
            call.wait_until_over()
            assert call.close_code == 1000
            assert [text["text"] for text in call.texts] == ["hello"]


def test_queues_made_before_and_after_the_standard_class_was_replaced() -> None:
    one = "<DropOldestQueue 0/2 shut>"
    assert output_of(QUEUES) == [f"{one} {one} {{'overflow': 1}}"] * 2
