from __future__ import annotations

from voicews.threads.alarms import Alarms


def test_each_rings_once_in_order_and_unless_another_has_cleared_it() -> None:
    alarms = Alarms()
    assert alarms.next() is None
    alarms.set("later", 60)
    alarms.set("second", -1)
    alarms.set("first", -2)
    alarms.set("cancelled", -3)
    alarms.clear("cancelled", "unknown")
    assert alarms.next() == 0.0
    alarms.set("third", -0.5)
    assert alarms.due() == "first"
    alarms.clear("third")
    assert alarms.due() == "second"
    assert alarms.due() is None
    assert alarms.is_set("later")
    left = alarms.next()
    assert left is not None
    assert 50 < left <= 60
