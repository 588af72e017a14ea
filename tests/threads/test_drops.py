from __future__ import annotations

from voicews.events import Event, FramesDropped
from voicews.threads.drops import Drops


def test_each_growth_is_told_once_by_buffer_and_cause() -> None:
    told: list[Event] = []
    outbox, playback = {"overflow": 3}, {"cleared": 50}
    drops = Drops({"outbox": lambda: outbox, "playback": lambda: playback}, told.append)
    drops.tell()
    drops.tell()
    assert told == [FramesDropped("outbox", "overflow", 3)]
    outbox["overflow"] += 2
    outbox["stale"] = 1
    playback["overflow"] = 4
    drops.tell()
    assert told[1:] == [
        FramesDropped("outbox", "overflow", 2),
        FramesDropped("outbox", "stale", 1),
        FramesDropped("playback", "overflow", 4),
    ]
    assert drops.counts() == {
        "outbox": {"overflow": 5, "stale": 1},
        "playback": {"cleared": 50, "overflow": 4},
    }
