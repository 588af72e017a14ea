from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys

import pytest

from voicews.audio import quiet
from voicews.audio.quiet import hush, quiet_stderr

C = ctypes.CDLL(None)


def say(words: bytes) -> None:
    """As a C library would."""
    C.fputs(words, ctypes.c_void_p.in_dll(C, "stderr"))


def test_noise_goes_to_the_log_and_the_rest_to_stderr(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "voicews.audio.quiet")
    with quiet_stderr(), quiet_stderr():
        say(b"ALSA lib confmisc.c:855:(parse_card) cannot find card '0'\n")
        say(b"Expression 'ret' failed in 'src/hostapi/alsa/pa_linux_alsa.c', line: 1736\n")
        say(b"gtk: what another library says\n")
        assert capfd.readouterr().err == ""
    say(b"afterwards\n")
    assert capfd.readouterr().err == "gtk: what another library says\nafterwards\n"
    assert "cannot find card" in caplog.text
    assert "pa_linux_alsa" in caplog.text
    assert "gtk" not in caplog.text


def test_what_does_not_come_from_c_is_not_held(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"Traceback (most recent call last): of another thread\n")
        subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('a child\\n')"], check=True)
        assert capfd.readouterr().err == "Traceback (most recent call last): of another thread\na child\n"


def test_one_body_that_hangs_does_not_hold_back_what_another_brings(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_stderr():
        with quiet_stderr():
            say(b"whole\nha")
        assert capfd.readouterr().err == "whole\n"
        say(b"lf\n")
    assert capfd.readouterr().err == "half\n"


def test_what_is_held_is_forgotten_once_it_is_passed_on() -> None:
    line = b"ALSA lib " + b"x" * 1000 + b"\n"
    with quiet_stderr():
        for _ in range(200):
            with quiet_stderr():
                say(line)
            assert quiet._held._size.value == 0


@pytest.mark.parametrize("lacking", ["memory", "library", "system"])
def test_where_nothing_can_be_held_noise_is_let_through(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "memory":
        monkeypatch.setattr(C, "open_memstream", lambda *_: None)
        monkeypatch.setattr(ctypes, "CDLL", lambda name: C)
    elif lacking == "library":
        monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    else:
        monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(quiet, "_held", quiet._Held())
    with quiet_stderr():
        say(b"ALSA lib\n")
    assert capfd.readouterr().err == "ALSA lib\n"


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # other tests may have left threads
def test_a_child_process_has_its_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        child = os.fork()
        if not child:
            say(b"ALSA lib in the child\n")
            os._exit(0)
        os.waitpid(child, 0)
        assert capfd.readouterr().err == "ALSA lib in the child\n"


def test_libraries_that_are_not_there_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "voicews.audio.quiet")
    hush("libasound-of-nobody.so.9", "libm.so.6")
    assert "libasound-of-nobody.so.9" in caplog.text
    assert "libm" not in caplog.text


def test_elsewhere_than_on_linux_there_is_nothing_to_hush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    hush("libasound.so.2")
