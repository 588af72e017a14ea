"""What `stats()` costs: the counting that is always on, and a snapshot, in isolation.

    python -m benchmarks.stats_cost

Prints the median of many rounds: what one second of live sound in both directions spends on counting,
with 20 ms frames, and what asking costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from voicews import AudioFormat, AudioReceived, ClientConfig, VoiceClient
from voicews.audio import NullSink, SilenceSource
from voicews.testing import FaultServer

ROUNDS = 30
FRAMES = 50
"""In a second."""


def took(work: Callable[[], object], times: int) -> float:
    """Seconds of CPU of this thread for each time, the median of the rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(times):
            work()
        rounds.append((time.thread_time() - began) / times)
    return median(rounds)


def main() -> None:
    """Measure and print."""
    config = ClientConfig()
    sound = AudioReceived(bytes(640), AudioFormat())
    with (
        FaultServer() as server,
        VoiceClient(server.url, microphone=SilenceSource(), speaker=NullSink(), config=config) as voice,
    ):
        supervisor = voice._supervisor
        assert supervisor is not None
        statistics, counters = supervisor._statistics, supervisor._counters

        def up() -> None:
            counters.add("frames_captured")
            statistics.frame_sent()

        def down() -> None:
            statistics.heard(sound)

        for _ in range(200):
            counters.sample("rtt", 0.001)
            counters.sample("response", 0.5)
        per_second = FRAMES * (took(up, 2000) + took(down, 2000))
        asking = took(voice.stats, 200)
    print(f"counting, a frame up and one down   {per_second / FRAMES * 1e6:8.2f} us")
    print(f"the same, of one core at 20 ms      {per_second * 100:8.4f} %")
    print(f"stats()                             {asking * 1e6:8.1f} us")


if __name__ == "__main__":
    main()
