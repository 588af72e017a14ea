from __future__ import annotations

import logging
import os
import threading

import pytest

from voicews.audio import quiet
from voicews.audio.quiet import hush, quiet_stderr


def test_noise_goes_to_the_log_and_the_rest_to_stderr(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "voicews.audio.quiet")
    with quiet_stderr(), quiet_stderr():
        os.write(2, b"ALSA lib confmisc.c:855:(parse_card) cannot find card '0'\n")
        os.write(2, b"Expression 'ret' failed in 'src/hostapi/alsa/pa_linux_alsa.c', line: 1736\n")
        os.write(2, b"Traceback (most recent call last): of another thread\n")
        assert capfd.readouterr().err == ""
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "Traceback (most recent call last): of another thread\nafterwards\n"
    assert "cannot find card" in caplog.text
    assert "pa_linux_alsa" in caplog.text
    assert "Traceback" not in caplog.text


def test_stderr_comes_back_though_the_library_hangs(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "_LONGEST", 0.05)
    with quiet_stderr():
        os.write(2, b"held\n")
        for thread in threading.enumerate():
            if thread.name == "voicews-stderr":
                thread.join(10)
        assert capfd.readouterr().err == "held\n"
        os.write(2, b"free\n")
        assert capfd.readouterr().err == "free\n"


def test_without_a_stderr_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_stderr(descriptor: int) -> int:
        raise OSError("bad file descriptor")

    monkeypatch.setattr(os, "dup", no_stderr)
    with quiet_stderr():
        pass


def test_without_room_for_a_file_noise_is_let_through(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room() -> None:
        raise OSError("no space left")

    monkeypatch.setattr("tempfile.TemporaryFile", no_room)
    with quiet_stderr():
        os.write(2, b"ALSA lib\n")
    assert capfd.readouterr().err == "ALSA lib\n"


def test_libraries_that_are_not_there_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "voicews.audio.quiet")
    hush("libasound-of-nobody.so.9", "libm.so.6")
    assert "libasound-of-nobody.so.9" in caplog.text
    assert "libm" not in caplog.text


def test_elsewhere_than_on_linux_there_is_nothing_to_hush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    hush("libasound.so.2")
