"""Settings are checked when they are made, and say what is wrong."""

from __future__ import annotations

import dataclasses
import math
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews import config
from voicews.backoff import Backoff, RetryPolicy
from voicews.config import AudioFormat, Buffers, ClientConfig, Limits, ProxySettings, Timeouts, TlsSettings
from voicews.errors import ConfigError

NO_SECONDS: tuple[Any, ...] = (0, -1, math.nan, math.inf, 1e7, 10**400, True, "1", [])
NO_COUNT: tuple[Any, ...] = (-1, 1.5, math.nan, True, "7", None)
NO_FLAG: tuple[Any, ...] = (None, 0, 1, "no")

BAD: list[tuple[type, str, Any, str]] = [
    *(
        (AudioFormat, "rate", value, "from 4000 to 192000 Hz")
        for value in (*NO_COUNT, 0, 3999, 192001, 16000.0)
    ),
    *((AudioFormat, "channels", value, "1 or 2") for value in (*NO_COUNT, 0, 3, 1.0)),
    *(
        (Timeouts, name, value, "a positive number of seconds")
        for name in ("connect", "session", "send", "pong", "device", "fetch", "close")
        for value in (*NO_SECONDS, None)
    ),
    *((Timeouts, "ping_interval", value, "positive, or None for no pings") for value in NO_SECONDS),
    *(
        (Buffers, name, value, "a positive number of seconds")
        for name in ("outbox", "max_audio_age", "playback")
        for value in (*NO_SECONDS, None)
    ),
    *((Buffers, "events", value, "a whole number of at least 10") for value in (*NO_COUNT, 9)),
    *((Buffers, "history", value, "a whole number of at least 0") for value in NO_COUNT),
    *(
        (Limits, name, value, "a whole number of at least 1")
        for name in ("message", "fragments", "handshake")
        for value in (*NO_COUNT, 0)
    ),
    *((TlsSettings, "insecure", value, "True or False") for value in NO_FLAG),
    *(
        (ClientConfig, "watchdog", value, "longer than Timeouts.send, or None")
        for value in (*NO_SECONDS, 10.0)
    ),
    *(
        (ClientConfig, "stats_interval", value, "at least 0.1 seconds, or None for no Stats events")
        for value in (*NO_SECONDS, 0.05)
    ),
    (TlsSettings, "context", "tls", "an ssl.SSLContext, or None"),
    *(
        (ClientConfig, name, value, "True or False")
        for name in ("push_to_talk", "allow_silence", "await_devices", "fail_fast")
        for value in NO_FLAG
    ),
    *((ClientConfig, "frame", value, "from 0.005 to 0.2 seconds") for value in (*NO_SECONDS, 0.004, 0.201)),
    *((ClientConfig, "slow_callback", value, "a positive number of seconds") for value in NO_SECONDS),
    *((ClientConfig, "tool_timeout", value, "a positive number of seconds") for value in NO_SECONDS),
    (ClientConfig, "timeouts", 5.0, "of class Timeouts"),
    (ClientConfig, "buffers", None, "of class Buffers"),
    (ClientConfig, "limits", 4096, "of class Limits"),
    (ClientConfig, "tls", True, "of class TlsSettings"),
    (ClientConfig, "proxy", "http://proxy", "of class ProxySettings"),
    *((ProxySettings, "environment", value, "True or False") for value in NO_FLAG),
    (ClientConfig, "backoff", 3, "of class Backoff"),
    (ClientConfig, "retry", Backoff(), "of class RetryPolicy"),
]
UNCHECKED = {
    (TlsSettings, "ca_file"),
    (TlsSettings, "certificate"),
    (TlsSettings, "key"),
    (ProxySettings, "url"),
}
"""Files: they are looked at when they are used, and :mod:`voicews.tls` says what is wrong then.  And what may
hold a password, so that its value is not shown: ``test_proxy.py`` tries that."""


@pytest.mark.parametrize(("kind", "name", "value", "allowed"), BAD)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    kind: type, name: str, value: Any, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**{name: value})
    assert str(caught.value) == f"{kind.__name__}.{name} is {value!r}; it must be {allowed}"


def test_no_field_goes_unchecked() -> None:
    kinds = {getattr(config, name) for name in config.__all__}
    fields = {(kind, field.name) for kind in kinds for field in dataclasses.fields(kind)}
    assert fields == {(kind, name) for kind, name, *_ in BAD} | UNCHECKED


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ConfigError, match=r"TlsSettings\.certificate is None; it must be given where key is"):
        TlsSettings(key="key.pem")
    TlsSettings(key="key.pem", certificate="certificate.pem")


@pytest.mark.parametrize(
    "other", [{"ca_file": "a"}, {"certificate": "a"}, {"certificate": "a", "key": "b"}, {"insecure": True}]
)
def test_a_ready_made_context_stands_alone(other: dict[str, Any]) -> None:
    context = ssl.create_default_context()
    TlsSettings(context=context)
    with pytest.raises(
        ConfigError, match=r"TlsSettings\.context is .*must be None where other fields are set"
    ):
        TlsSettings(context=context, **other)


def test_a_frame_has_to_fit_into_the_outbox() -> None:
    with pytest.raises(
        ConfigError, match=r"ClientConfig\.frame is 0\.2; it must be no longer than Buffers\.outbox"
    ):
        ClientConfig(frame=0.2, buffers=Buffers(outbox=0.1))


def test_settings_at_their_bounds() -> None:
    AudioFormat(4000)
    AudioFormat(192000, 2)
    Timeouts(connect=1e6, ping_interval=None)
    Buffers(events=10, history=0)
    Limits(message=1, fragments=1, handshake=1)
    ClientConfig(frame=0.005)
    ClientConfig(frame=0.2, backoff=Backoff(max_attempts=None), retry=RetryPolicy())


def test_the_promised_defaults() -> None:
    assert AudioFormat() == AudioFormat(16000, 1)
    assert (Timeouts().ping_interval, Timeouts().pong, Timeouts().close) == (20.0, 10.0, 5.0)
    assert (Buffers().outbox, Buffers().playback, Buffers().events) == (2.0, 120.0, 1000)
    assert Limits().message == 4 * 1024 * 1024
    assert not TlsSettings().insecure
    assert (ClientConfig().frame, ClientConfig().allow_silence) == (0.02, False)


@pytest.mark.parametrize("kind", [getattr(config, name) for name in config.__all__])
def test_settings_are_frozen_compare_and_vary(kind: type) -> None:
    one = kind()
    assert one == kind()
    assert dataclasses.replace(one) == one
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, dataclasses.fields(kind)[0].name, None)


@pytest.mark.parametrize("kind", [Timeouts, Buffers, Limits, TlsSettings, ClientConfig])
def test_settings_are_given_by_name(kind: type) -> None:
    with pytest.raises(TypeError):
        kind(1.0)


def test_varying_checks_again() -> None:
    with pytest.raises(ConfigError):
        dataclasses.replace(Timeouts(), close=0)


# -- the format's arithmetic ---------------------------------------------------------------------


def test_lengths() -> None:
    stereo = AudioFormat(48000, 2)
    assert stereo.bytes_per_sample == 4
    assert stereo.seconds(bytes(19200)) == stereo.seconds(19200) == stereo.seconds(bytearray(19200)) == 0.1
    assert stereo.seconds(memoryview(bytes(19200))) == 0.1
    assert (stereo.samples(0.02), stereo.bytes(0.02)) == (960, 3840)
    assert str(stereo) == "48000 Hz stereo int16"
    assert str(AudioFormat()) == "16000 Hz mono int16"


@given(rate=st.integers(4000, 192000), channels=st.sampled_from([1, 2]), seconds=st.floats(0, 1000))
def test_lengths_are_whole_samples(rate: int, channels: int, seconds: float) -> None:
    sound = AudioFormat(rate, channels)
    assert sound.bytes(seconds) % sound.bytes_per_sample == 0
    assert abs(sound.seconds(sound.bytes(seconds)) - seconds) <= 0.5 / rate + 1e-9
