"""What needs no device; the rest is in tests/sound/test_speaker.py."""

from __future__ import annotations

import pytest

from voicews.audio import PyAudioSpeaker
from voicews.errors import InvalidState


def test_what_is_not_open_cannot_be_used() -> None:
    speaker = PyAudioSpeaker()
    for call in (lambda: speaker.write(b"12"), speaker.pending, speaker.flush):
        with pytest.raises(InvalidState, match="not open"):
            call()
    speaker.close()
    assert speaker.position == 0
    assert repr(speaker) == "PyAudioSpeaker()"
    assert repr(PyAudioSpeaker(2)) == "PyAudioSpeaker(2)"
