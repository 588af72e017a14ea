"""From options to microphones and loudspeakers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.answering import tone
from tests.cli.test_recorded_speech import recording
from voicews import AudioError, FormatUnsupported
from voicews.audio import Microphone, NullSink, SilenceSource, Speaker, WavSink
from voicews.cli.sound import loudspeaker, microphone, require_wav, without_devices


def test_devices_unless_the_environment_says_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICEWS_AUDIO", raising=False)
    assert not without_devices()
    assert isinstance(microphone(None), Microphone)
    assert isinstance(loudspeaker(None, None), Speaker)
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    assert isinstance(microphone(None), SilenceSource)
    assert isinstance(loudspeaker(None, None), NullSink)


def test_what_is_named_is_taken_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    assert repr(microphone(3)) == "Microphone(3)"
    assert "usb" in repr(loudspeaker("usb", None))
    assert isinstance(loudspeaker(None, Path("answer.wav")), WavSink)


def test_recordings_are_looked_at_before_anything_else(tmp_path: Path) -> None:
    require_wav(recording(tmp_path / "good.wav", tone(0.1)))
    require_wav(recording(tmp_path / "empty.wav", b""))
    with pytest.raises(AudioError, match=r"none\.wav"):
        require_wav(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("not a sound")
    with pytest.raises(FormatUnsupported, match="no WAV file"):
        require_wav(tmp_path / "text.wav")
