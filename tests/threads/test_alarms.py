from __future__ import annotations

from voicews.threads.alarms import Alarms


def test_alarms_ring_once_and_in_order() -> None:
    alarms = Alarms()
    assert alarms.next() is None
    alarms.set("later", 60)
    alarms.set("second", -1)
    alarms.set("first", -2)
    alarms.set("cancelled", -3)
    alarms.clear("cancelled", "unknown")
    assert alarms.next() == 0.0
    assert alarms.due() == ["first", "second"]
    assert alarms.due() == []
    assert alarms.is_set("later")
    left = alarms.next()
    assert left is not None
    assert 50 < left <= 60
