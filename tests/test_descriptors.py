from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peer import PATIENCE, peer
from tests.sound.programs import ROOT
from voicews.descriptors import occupy_standard_descriptors


def run_without(descriptors: str, program: str, told: Path, *arguments: str) -> str:
    """Run it as a daemon whose shell closed these; what it writes to ``told``, its first argument."""
    closed = " ".join(f"{number}>&-" for number in descriptors)
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program, str(told), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "VOICEWS_AUDIO": "null"},
        timeout=PATIENCE,
        check=True,
    )
    return told.read_text()


@pytest.mark.parametrize("closed", ["2", "12", "012"])
def test_our_sockets_and_files_are_none_of_the_standard_descriptors(closed: str, tmp_path: Path) -> None:
    with peer() as server:
        told = run_without(
            closed,
            "import os, pathlib, sys\n"
            "from voicews import Recorder, VoiceClient\n"
            "from voicews.audio import WavSink\n"
            "sink = WavSink(sys.argv[3])\n"
            "voice = VoiceClient(sys.argv[2], speaker=sink, recorder=Recorder(sys.argv[3] + '-2.wav'))\n"
            "voice.open()\n"
            "names = [os.readlink(f'/proc/self/fd/{number}') for number in range(3)]\n"
            "voice.close()\n"
            "pathlib.Path(sys.argv[1]).write_text('|'.join(names))\n",
            tmp_path / "told",
            server.url,
            str(tmp_path / "heard.wav"),
        )
    names = told.split("|")
    assert [names[int(number)] for number in closed] == ["/dev/null"] * len(closed)
    assert not [name for name in names if "socket" in name or "heard" in name]


def test_a_descriptor_2_that_is_not_stderr_is_left_alone(tmp_path: Path) -> None:
    told = run_without(
        "2",
        "import os, pathlib, socket, sys\n"
        "ours = socket.socket()\n"
        "assert ours.fileno() == 2\n"
        "from voicews.audio.quiet import quiet_stderr\n"
        "with quiet_stderr():\n"
        "    pathlib.Path(sys.argv[1]).write_text(os.readlink('/proc/self/fd/2'))\n",
        tmp_path / "told",
    )
    assert told.startswith("socket:")


def test_what_is_open_stays_as_it_is() -> None:
    before = [os.fstat(number) for number in range(3)]
    occupy_standard_descriptors()
    after = [os.fstat(number) for number in range(3)]
    assert [stat.st_ino for stat in after] == [stat.st_ino for stat in before]


def test_without_a_descriptor_left_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(descriptor: int) -> os.stat_result:
        raise OSError(9, "Bad file descriptor")

    def none_left(path: str, flags: int) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", closed)
        patch.setattr(os, "open", none_left)
        occupy_standard_descriptors()


def test_another_thread_may_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(descriptor: int) -> os.stat_result:
        raise OSError(9, "Bad file descriptor")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", closed)
        occupy_standard_descriptors()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
