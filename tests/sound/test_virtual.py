from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

from tests.audio.playing import counting, heard
from tests.sound.programs import ROOT
from tests.sound.virtual import VirtualSound


def test_a_command_gets_a_microphone_and_a_loudspeaker(tmp_path: Path) -> None:
    """As script/test and the demo's test use it."""
    with wave.open(str(tmp_path / "say.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(counting(8000))
    program = (
        "import voicews.audio as a\n"
        "mic, out = a.Microphone(), a.PyAudioSpeaker()\n"
        "mic.open(a.AudioFormat(), 320); out.open(a.AudioFormat())\n"
        "for _ in range(250): out.write(mic.read())\n"
        "mic.close(); out.close()\n"
    )
    result = subprocess.run(
        [
            *(sys.executable, "-m", "tests.sound.virtual", "--rate", "16000", "--after", "1.5"),
            *("--say", str(tmp_path / "say.wav"), "--record", str(tmp_path / "heard.wav"), "--"),
            *(sys.executable, "-c", program),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    with wave.open(str(tmp_path / "heard.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 2)
        pcm = file.readframes(file.getnframes())
    assert len(heard(pcm, channels=2)) > 6000


def test_the_exit_code_is_the_commands() -> None:
    command = [sys.executable, "-m", "tests.sound.virtual", "--", sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == 7


def test_what_is_said_can_be_cut_short(sound: VirtualSound) -> None:
    speaking = sound.start_speaking(counting(16000 * 20))
    speaking.kill()
    assert speaking.wait() != 0
