"""What holds for every test: its tier, and that nothing is left behind and nothing fails unseen.

A test fails if it leaves a thread or a file descriptor behind; a thread that dies of an
exception, an unclosed socket and any warning fail it too (pytest's own warnings, turned
into errors in pyproject.toml).
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.patience import STRETCH, patient

pytest_plugins = ["pytester"]

settings.register_profile(
    "voicews",
    deadline=None,  # the machine is shared; pytest-timeout guards the whole test
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fast", settings.get_profile("voicews"), max_examples=25)
settings.load_profile("voicews")

GRACE = patient(5.0)
"""Seconds that a thread or a descriptor, whose end a test has already asked for, may take."""

TIERS = {
    "": "unit",
    "assistant": "process",
    "benchmarks": "process",
    "cli": "process",
    "examples": "process",
    "faults": "faults",
    "interop": "interop",
    "recording/test_recorder.py": "process",
    "security": "process",
    "sound": "sound",
    "testing": "process",
    "test_client.py": "process",
    "test_conftest.py": "process",
    "test_docs.py": "process",
    "test_exit.py": "process",
    "test_systemd.py": "process",
    "threads/test_statistics.py": "process",
    "threads/test_supervisor.py": "process",
    "timeline/test_drawing.py": "process",
}
"""The tier of each folder or file; what is not named holds unit tests.  CONTRIBUTING.md describes them."""

PLACE = pytest.StashKey[int]()
"""Where a test stands among all that were collected, before they were shuffled."""

_HERE = Path(__file__).parent


def _tier(path: Path) -> str:
    inner = path.relative_to(_HERE)
    return TIERS.get(str(inner)) or TIERS.get(inner.parts[0], TIERS[""])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier",
        action="append",
        choices=sorted(set(TIERS.values())),
        help="collect only this tier; may be given more than once (`-m TIER` does the same, but slowly)",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--tier`` the other tiers are not even imported, which takes each worker some seconds."""
    tiers = config.getoption("tier")
    if not tiers or collection_path == _HERE or _HERE not in collection_path.parents:
        return None
    here = f"{collection_path.relative_to(_HERE)}/"
    held = {_tier(collection_path), *(tier for name, tier in TIERS.items() if name.startswith(here))}
    return None if held & set(tiers) else True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark the tests with their tiers, and start the slow ones first: none shall come at the end."""
    for place, item in enumerate(items):
        item.stash[PLACE] = place
        item.add_marker(getattr(pytest.mark, _tier(item.path)))
        if STRETCH != 1:
            mark = item.get_closest_marker("timeout")
            limit = mark.args[0] if mark is not None else float(item.config.getini("timeout"))
            item.add_marker(pytest.mark.timeout(patient(limit)), append=False)
    yield  # others deselect and shuffle them
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def missing_part(what: str) -> NoReturn:
    """Skip the test that needs what is not installed; where all has to be there, fail it."""
    if os.environ.get("VOICEWS_TEST_COMPLETE"):
        pytest.fail(f"VOICEWS_TEST_COMPLETE is set, and {what}", pytrace=False)
    pytest.skip(what)


def _descriptors() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except OSError:  # the one that listed the folder, or one that another thread has just closed
            continue
    return found


def _comes_true(fact: Callable[[], bool], deadline: float) -> bool:
    never = threading.Event()
    while not fact():
        if time.monotonic() >= deadline:
            return False
        never.wait(0.01)
    return True


def _leaked_threads(before: set[threading.Thread], deadline: float) -> list[str]:
    """The new threads that nothing has ended; those of voicews are daemons but must end all the same."""

    def left() -> list[threading.Thread]:
        return [
            thread
            for thread in threading.enumerate()
            if thread not in before and (thread.name.startswith("voicews-") or not thread.daemon)
        ]

    for thread in left():
        thread.join(max(0.0, deadline - time.monotonic()))
    return sorted(thread.name for thread in left())


def _leaked_descriptors(before: dict[int, str], deadline: float) -> list[str]:
    """The new ones; a test that closes one of before does not get another for it."""

    def left() -> dict[int, str]:
        return {fd: what for fd, what in _descriptors().items() if before.get(fd) != what}

    if left():
        gc.collect()
        _comes_true(lambda: not left(), deadline)
    return [f"{fd} -> {what}" for fd, what in sorted(left().items())]


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that the test starts run without coverage.

    For signals: an exception that a handler raises while coverage holds its lock leaves that lock held for
    ever, and its start-up swallows a Ctrl+C.
    """
    for variable in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaks a thread or a file descriptor; ``keeps(reason)`` lets it."""
    threads = set(threading.enumerate())
    descriptors = _descriptors()
    yield
    if request.node.get_closest_marker("keeps"):
        return
    deadline = time.monotonic() + GRACE
    if leaked := _leaked_threads(threads, deadline):
        pytest.fail(f"threads left behind: {', '.join(leaked)}")
    if opened := _leaked_descriptors(descriptors, deadline):
        pytest.fail(f"file descriptors left open: {', '.join(opened)}")
