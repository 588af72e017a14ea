"""What plays on a real (or virtual) device: ``python -m benchmarks.clients.sounding WHAT [URL]``.

*client* is voicews with its own microphone and loudspeaker; *floor* joins the same two directly, with
nothing between; *tone* plays ten seconds when told to ``talk`` and is flushed when told to ``hush``.  It
prints ``open`` and ends with its standard input.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterator

from benchmarks.sound import RATE, TONE
from voicews import AudioFormat, VoiceClient
from voicews.audio import Microphone, Speaker
from voicews.dialects import Plain

_FORMAT = AudioFormat(RATE)
_SLICE = _FORMAT.bytes(0.02)


def client(url: str) -> None:
    with VoiceClient(Plain(url), microphone=Microphone(), speaker=Speaker()):
        print("open", flush=True)
        sys.stdin.read()


def floor() -> None:
    sound: queue.Queue[bytes] = queue.Queue(100)
    opened, ending = threading.Event(), threading.Event()

    def capture() -> None:
        microphone = Microphone()
        opened.wait()  # what is captured before could never be made up for
        microphone.open(_FORMAT, 320)
        while not ending.is_set():
            if pcm := microphone.read():
                sound.put(pcm)
        microphone.close()

    def play() -> None:
        speaker = Speaker()
        speaker.open(_FORMAT)
        opened.set()
        print("open", flush=True)
        while not ending.is_set():
            speaker.pending()
            try:
                speaker.write(sound.get(timeout=0.005))
            except queue.Empty:
                continue
        speaker.close()

    threads = [threading.Thread(target=work) for work in (capture, play)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ending.set()
    for thread in threads:
        thread.join()


def tone() -> None:
    commands: queue.Queue[str] = queue.Queue(10)

    def read() -> None:
        for line in sys.stdin:
            commands.put(line.strip())
        commands.put("end")

    def slices() -> Iterator[bytes]:
        for start in range(0, len(TONE), _SLICE):
            yield TONE[start : start + _SLICE]

    threading.Thread(target=read, daemon=True).start()
    speaker = Speaker()
    speaker.open(_FORMAT)
    print("open", flush=True)
    playing: Iterator[bytes] = iter(())
    while True:
        try:
            command = commands.get(timeout=0.005)
        except queue.Empty:
            command = ""
        if command == "end":
            break
        if command == "talk":
            playing = slices()
        elif command == "hush":
            print(time.monotonic_ns(), flush=True)
            speaker.flush()
            playing = iter(())
        while speaker.pending() < speaker.lead and (pcm := next(playing, b"")):
            speaker.write(pcm)
    speaker.close()


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "client":
        client(sys.argv[2])
    elif what == "floor":
        floor()
    else:
        tone()
