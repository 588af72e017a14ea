"""How a program that uses voicews ends: seen from outside, since it is the process that matters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.line import Authority
from tests.patience import PATIENCE
from tests.peer import Peer, peer, unused_port


@pytest.fixture
def server() -> Iterator[Peer]:
    with peer() as server:
        yield server


def start(url: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, url, *arguments],
        env={**os.environ, "VOICEWS_AUDIO": "null"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_forgotten_client_is_closed_at_exit(server: Peer) -> None:
    program = start(
        server.url,
        "import sys, voicews\n"
        "voice = voicews.VoiceClient(sys.argv[1])\n"
        "voice.open()\n"
        "voice.send_text('last words')\n",
    )
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out, err) == (0, "", "")
    call = server.call()
    call.wait_until_over()
    assert call.texts == [{"type": "text", "text": "last words"}]
    assert call.close_code == 1000


def test_a_forgotten_client_is_closed_before_what_was_loaded_after_it_ends(server: Peer) -> None:
    """The loudspeaker's module comes after the client's, and gives the mixer back at exit."""
    program = start(
        server.url,
        "import atexit, sys\n"
        "from voicews import VoiceClient\n"
        "atexit.register(lambda: print(voice.state.name))\n"
        "voice = VoiceClient(sys.argv[1])\n"
        "voice.open()\n",
    )
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out, err) == (0, "CLOSED\n", "")


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_ends_run_cleanly(server: Peer) -> None:
    program = start(
        server.url,
        "import sys, voicews\n"
        "voice = voicews.VoiceClient(sys.argv[1])\n"
        "voice.on(voicews.StateChanged, lambda change: print(change, flush=True))\n"
        "voice.run()\n"
        "print('done')\n",
    )
    server.call().wait_for_audio()
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, err) == (0, "")
    assert out.splitlines() == [
        "IDLE -> CONNECTING",
        "CONNECTING -> CONNECTED",
        "CONNECTED -> CLOSING",
        "CLOSING -> CLOSED",
        "done",
    ]
    server.call().wait_until_over()
    assert server.call().close_code == 1000


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_while_connecting_ends_run_cleanly() -> None:
    program = start(
        f"ws://127.0.0.1:{unused_port()}",
        "import sys, voicews\n"
        "config = voicews.ClientConfig(backoff=voicews.Backoff(initial=30, cap=30))\n"
        "voice = voicews.VoiceClient(sys.argv[1], config=config)\n"
        "voice.on(voicews.Reconnecting, lambda: print('again', flush=True))\n"
        "voice.run()\n",
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "again\n"
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out) == (0, "")
    assert len(err.splitlines()) == 1
    assert "cannot be reached: Connection refused" in err


def test_an_exception_in_a_with_block_closes_and_comes_out(server: Peer) -> None:
    program = start(
        server.url,
        "import sys, voicews\nwith voicews.VoiceClient(sys.argv[1]) as voice:\n    raise KeyError('mine')\n",
    )
    _, err = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    assert "KeyError: 'mine'" in err
    server.call().wait_until_over()
    assert server.call().close_code == 1000


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_broken_pipe_kills_no_program_that_has_sigpipe_at_its_default(tmp_path: Path, tls: bool) -> None:
    """As programs have it that reset it, or that run Python inside C."""
    authority = Authority(tmp_path)
    context = authority.server_context() if tls else None
    with peer(ssl=context) as server:
        program = start(
            server.url.replace("ws:", "wss:") if tls else server.url,
            "import signal, sys, threading\n"
            "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
            "import voicews\n"
            "from voicews import Backoff, ClientConfig, TlsSettings, VoiceClient\n"
            "tls = TlsSettings(ca_file=sys.argv[2] or None)\n"
            "config = ClientConfig(tls=tls, backoff=Backoff(initial=0))\n"
            "voice = VoiceClient(sys.argv[1], config=config)\n"
            "voice.open()\n"
            "wire = voice._supervisor._connection._transport._wire\n"
            "with voice.events(voicews.Disconnected) as losses:\n"
            "    wire.abort()  # what is sent from here on meets a broken pipe\n"
            "    for _ in range(3):\n"
            "        try:\n"
            "            wire.send(bytes(100))\n"
            "        except voicews.ConnectionClosed:\n"
            "            continue\n"
            "    losses.get(10)\n"
            "voice.wait_for(voicews.State.CONNECTED, 10)\n"
            "voice.close()\n"
            "print(voice.stats().reconnects)\n",
            authority.ca_file if tls else "",
        )
        out, err = program.communicate(timeout=PATIENCE)
        assert (program.returncode, out) == (0, "1\n")
        assert err.endswith("was aborted (trying again in 0.0 s, attempt 1)\n")


def test_neither_a_service_manager_nor_a_client_of_the_assistant_that_has_gone_does() -> None:
    program = start(
        "",
        "import os, signal, socket, sys\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "from voicews.assistant.link import Gate, Tap\n"
        "from voicews.systemd import notify\n"
        "os.environ['NOTIFY_SOCKET'] = '@voicews-nobody-listens-here'\n"
        "print(notify('READY=1'))\n"
        "ours, theirs = socket.socketpair()\n"
        "theirs.close()\n"
        "with Tap(ours, Gate()) as tap:\n"
        "    try:\n"
        "        tap.sendall(b'hello')\n"
        "    except BrokenPipeError:\n"
        "        print('told')\n",
    )
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, out, err) == (0, "False\ntold\n", "")
