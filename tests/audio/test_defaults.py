"""Which devices a client takes when none are named."""

from __future__ import annotations

import pytest

from voicews.audio import Microphone, NullSink, SilenceSource, Speaker
from voicews.audio.defaults import default_microphone, default_speaker
from voicews.errors import ConfigError


@pytest.mark.parametrize("value", [None, ""])
def test_the_machines_own(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("VOICEWS_AUDIO", raising=False)
    else:
        monkeypatch.setenv("VOICEWS_AUDIO", value)
    assert isinstance(default_microphone(), Microphone)
    assert isinstance(default_speaker(), Speaker)


def test_silence_where_the_environment_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    assert isinstance(default_microphone(), SilenceSource)
    assert isinstance(default_speaker(), NullSink)


@pytest.mark.parametrize("value", ["Null", "none", "0"])
def test_anything_else_is_a_slip(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", value)
    for default in (default_microphone, default_speaker):
        with pytest.raises(ConfigError, match=f"VOICEWS_AUDIO={value};"):
            default()
