"""The guards of conftest.py: each is shown a test that it has to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def guarded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder of tests with this one's guards, but a short grace."""
    monkeypatch.setenv("PYTHONPATH", str(CONFTEST.parents[1]))  # for tests.patience
    conftest = CONFTEST.read_text(encoding="utf-8")
    pytester.makeconftest(
        conftest.replace("GRACE = patient(5.0)", "GRACE = 0.2").replace('["pytester"]', "[]")
    )
    pytester.makeini(
        "[pytest]\nfilterwarnings = error\nmarkers =\n    keeps(reason): keeps\n    unit: unit\n"
    )
    return pytester


def _run(guarded: pytest.Pytester, body: str, **outcome: int) -> str:
    guarded.makepyfile(f"import gc, socket, threading, pytest\n\nend = threading.Event()\n\n{body}")
    result = guarded.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    result.assert_outcomes(**outcome)
    return result.stdout.str()


@pytest.mark.parametrize("thread", ['name="voicews-x", daemon=True', 'name="plain"'])
def test_a_thread_left_behind_fails_its_test(guarded: pytest.Pytester, thread: str) -> None:
    out = _run(
        guarded,
        f"def test_leak():\n    threading.Thread(target=end.wait, {thread}).start()\n\n"
        "def test_next():\n    end.set()\n",
        passed=2,
        errors=1,
    )
    assert "threads left behind" in out


def test_a_thread_that_is_about_to_end_is_waited_for(guarded: pytest.Pytester) -> None:
    body = "def test_it():\n    threading.Timer(0.05, end.set).start()\n"
    _run(guarded, body, passed=1)


def test_a_descriptor_left_open_fails_its_test(guarded: pytest.Pytester) -> None:
    body = "kept = []\n\ndef test_leak():\n    kept.extend(socket.socketpair())\n\n"
    body += "def test_next():\n    [s.close() for s in kept]\n"
    assert "file descriptors left open" in _run(guarded, body, passed=2, errors=1)


def test_one_descriptor_closed_does_not_make_up_for_one_left_open(guarded: pytest.Pytester) -> None:
    body = "kept = [*socket.socketpair()]\n\ndef test_leak():\n    kept.pop().close()\n"
    body += "    kept.append(socket.socket())\n\ndef test_next():\n    [s.close() for s in kept]\n"
    assert "file descriptors left open" in _run(guarded, body, passed=2, errors=1)


def test_an_unclosed_socket_is_a_warning_and_so_a_failure(guarded: pytest.Pytester) -> None:
    _run(guarded, "def test_leak():\n    socket.socket()\n    gc.collect()\n", failed=1)


def test_an_exception_in_a_thread_fails_the_test(guarded: pytest.Pytester) -> None:
    body = "def test_it():\n    thread = threading.Thread(target=lambda: 1 / 0)\n"
    body += "    thread.start()\n    thread.join()\n"
    assert "ZeroDivisionError" in _run(guarded, body, failed=1)


def test_what_is_marked_may_keep_its_things(guarded: pytest.Pytester) -> None:
    body = "kept = []\n\n@pytest.mark.keeps('on purpose')\ndef test_it():\n"
    body += "    kept.extend(socket.socketpair())\n\n"
    body += "def test_next():\n    [s.close() for s in kept]\n"
    _run(guarded, body, passed=2)


def test_a_warning_fails_the_test(guarded: pytest.Pytester) -> None:
    _run(guarded, "import warnings\n\ndef test_it():\n    warnings.warn('seen', UserWarning)\n", failed=1)
