"""What can happen to the whole process: it is forked, stopped, told to end, or ends; its clock is set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import missing_part
from tests.faults import process_faults
from tests.faults.apart import attempt_apart
from tests.faults.matrix import Fault
from tests.patience import PATIENCE
from tests.peer import Peer, peer, unused_port
from tests.sound.virtual import VirtualSound
from voicews.testing import FaultConnection, FaultServer, steps

ROOT = Path(__file__).parents[2]
QUIET = {"VOICEWS_AUDIO": "null"}


@pytest.fixture
def server() -> Iterator[Peer]:
    with peer() as server:
        yield server


def start(program: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), *arguments],
        cwd=ROOT,
        env={**os.environ, **(QUIET if environment is None else environment)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("fault", process_faults.FAULTS, ids=str)
def test_a_process(fault: Fault) -> None:
    attempt_apart("tests.faults.process_faults", fault, "The process and its clock")


# -- fork -----------------------------------------------------------------------------------------

FORKING = """
    import os, sys, threading, warnings
    import voicews

    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of what is tried here
    voice = voicews.VoiceClient(sys.argv[1])
    with voice:
        voice.wait_for(voicews.Event, 20)
        read, write = os.pipe()
        if os.fork() == 0:
            told = []
            for name in sorted(dir(voicews.VoiceClient)):
                if not name.startswith("_"):
                    try:
                        getattr(voice, name)
                    except voicews.InvalidState as error:
                        assert "opened before fork()" in str(error), error
                    else:
                        told.append(name)
            try:
                with voice:
                    told.append("with")
            except voicews.InvalidState:
                pass
            repr(voice)
            os.write(write, repr(told).encode())
            sys.exit(7)  # as programs do: with all that Python does at its end
        _, status = os.wait()
        print(os.waitstatus_to_exitcode(status), os.read(read, 1000).decode(), flush=True)
        sys.stdin.readline()
        voice.send_text("from the parent")
    print(voice.state.name)
"""


@pytest.mark.parametrize("drivers", [False, True])
def test_a_child_process_is_refused_and_leaves_the_parent_alone(
    drivers: bool, server: Peer, request: pytest.FixtureRequest
) -> None:
    environment = QUIET
    if drivers:
        if (missing := VirtualSound.missing()) is not None:
            missing_part(missing)
        sound = VirtualSound(rate=16000)
        request.addfinalizer(sound.stop)
        sound.start()
        environment = sound.environment
    program = start(FORKING, server.url, environment=environment)
    try:
        call = server.call()
        call.wait_for_audio(6400)
        call.send(bytes([1, 1]) * 16000 * 5)
        assert program.stdout is not None
        assert program.stdout.readline() == "7 []\n"
        call.wait_for_audio(len(call.audio) + 32000)
        assert not call.over
        out, err = program.communicate("\n", timeout=PATIENCE)
    finally:
        program.kill()
        program.wait()
    assert (program.returncode, out, err) == (0, "CLOSED\n", "")
    call.wait_until_over()
    assert call.texts == [{"type": "text", "text": "from the parent"}]
    assert call.close_code == 1000


def test_a_client_that_was_not_open_may_be_used_in_the_child(server: Peer) -> None:
    program = start(
        """
        import os, sys, voicews, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        voice = voicews.VoiceClient(sys.argv[1])
        voice.open()
        voice.close()
        if os.fork() == 0:
            with voice:
                voice.send_text("from the child")
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
        """,
        server.url,
    )
    assert program.communicate(timeout=PATIENCE) == ("3\n", "")
    server.call(2).wait_until_over()
    assert server.call(2).texts == [{"type": "text", "text": "from the child"}]


# -- the end --------------------------------------------------------------------------------------

ENDING = """
    import os, signal, sys, threading, voicews
    how, where, url = sys.argv[1:]
    config = voicews.ClientConfig(
        timeouts=voicews.Timeouts(close=1.0),
        backoff=voicews.Backoff(initial=30, cap=30, max_attempts=None),
    )
    voice = voicews.VoiceClient(url, config=config)
    there = threading.Event()

    def see(change):
        if change.new.name == where:
            there.set()

    voice.on(voicews.StateChanged, see)
    if where in ("CONNECTED", "CLOSING", "CLOSED"):
        voice.open()
    elif where != "IDLE":
        def open_it():
            try:
                voice.open()
            except voicews.VoicewsError:
                pass
        threading.Thread(target=open_it, daemon=True).start()
    if where == "CLOSED":
        voice.close()
    if where == "CLOSING":
        threading.Thread(target=voice.close, daemon=True).start()
    assert where == "IDLE" or there.wait(20)
    print(voice.state.name, flush=True)
    if how == "exit":
        sys.exit(4)
    if how == "error":
        raise KeyError("mine")
    if how == "_exit":
        os._exit(5)
    threading.Event().wait(20)
"""
STATES = ["IDLE", "CONNECTING", "CONNECTED", "RECONNECTING", "CLOSING", "CLOSED", "FAILED"]
CODES = {"exit": 4, "error": 1, "_exit": 5, "SIGTERM": -signal.SIGTERM}


def deaf(connection: FaultConnection) -> None:
    connection.wait_until_ended(PATIENCE)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("how", CODES)
def test_a_program_ends_whatever_its_client_is_doing(how: str, state: str) -> None:
    """At once, or where there is somebody to say goodbye to, within the time that closing may take."""
    scripts: dict[str, list[Callable[[FaultConnection], None]]] = {
        "CONNECTING": [deaf],
        "CLOSING": [steps.accept(), deaf],
        "FAILED": [steps.refuse(403)],
    }
    with FaultServer(scripts.get(state, [steps.accept()])) as server:
        url = f"ws://127.0.0.1:{unused_port()}" if state == "RECONNECTING" else server.url
        program = start(ENDING, how, state, url)
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == f"{state}\n"
            if how == "SIGTERM":
                program.send_signal(signal.SIGTERM)
            began = time.monotonic()
            _, err = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
            program.communicate()
        took = time.monotonic() - began
        if state == "CONNECTED":
            connection = server.connection()
            connection.wait_until_over()
            assert connection.close_code == (1000 if how in ("exit", "error") else None)
    assert program.returncode == CODES[how]
    # Without a logging of its own a program shows our warning that the link is lost; nothing else.
    lines = [line for line in err.splitlines() if "trying again" not in line]
    assert "mine" in err if how == "error" else lines == []
    assert took < (5 if how in ("exit", "error") else 2), f"{took:.1f} s"
