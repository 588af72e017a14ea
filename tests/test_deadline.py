from __future__ import annotations

from voicews.deadline import Deadline


def test_a_deadline_counts_down_to_zero() -> None:
    deadline = Deadline(60)
    left = deadline.remaining()
    assert left is not None
    assert 50 < left <= 60
    assert not deadline.passed


def test_a_passed_deadline_leaves_no_time() -> None:
    deadline = Deadline(0)
    assert deadline.passed
    assert deadline.remaining() == 0.0


def test_without_seconds_there_is_no_end() -> None:
    deadline = Deadline(None)
    assert deadline.remaining() is None
    assert not deadline.passed
