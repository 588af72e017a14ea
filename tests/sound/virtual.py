"""A private PulseAudio with a virtual microphone and a virtual loudspeaker.

From Python (the fixtures ``sound_server`` and ``sound`` in conftest.py do this for tests)::

    with VirtualSound(rate=16000) as sound:
        os.environ.update(sound.environment)          # PortAudio and SDL now find these devices
        sound.speak(wav)                              # a WAV's path or 16-bit mono PCM; returns at its end
        with sound.listen() as ear:                   # what the loudspeaker plays from here on
            ...
            ear.wait_for(lambda pcm: len(pcm) > 32000, timeout=5)
        ear.pcm, ear.arrivals                         # bytes, and [(monotonic time, bytes so far), ...]

From a shell, any command, which then has one microphone and one loudspeaker::

    python -m tests.sound.virtual [--rate 48000] [--say WAV [--after 2]] [--record WAV] -- COMMAND ...

It sets: PULSE_SERVER, PULSE_RUNTIME_PATH, XDG_RUNTIME_DIR, ALSA_CONFIG_PATH (one device
"default", which goes to PulseAudio), SDL_AUDIODRIVER=pulseaudio.  The names within
PulseAudio are ``mic`` and ``speaker`` (and ``micfeed``, what is played there is said into the
microphone).  Nothing of it outlives the ``with``, and the machine's own sound is left alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Ear", "VirtualSound"]

_PROGRAM = shutil.which(
    "pulseaudio", path=f"{os.environ.get('PATH', '')}{os.pathsep}{Path(sys.executable).parent}"
)
"""The system's, or what script/bootstrap has unpacked where installing it would remove PipeWire."""
_ASOUND = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"


class VirtualSound:
    """A sound server of our own.

    Args:
        rate: of both devices; sound at this rate passes through it sample by sample.
        read: keep a reader on each monitor.  Without one, a null sink takes sound in blocks of two
            seconds, as slowly as a device that takes long to wake.
    """

    def __init__(self, rate: int = 48000, *, read: bool = True) -> None:
        self.rate = rate
        self.read = read
        self._folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._keepers: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def missing() -> str | None:
        """What is not installed, or None."""
        tools = [tool for tool in ("pactl", "parec", "pacat") if shutil.which(tool) is None]
        if _PROGRAM is None:
            tools.append("pulseaudio")
        return (
            f"apt install pulseaudio pulseaudio-utils libasound2-plugins ({', '.join(tools)})"
            if tools
            else None
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to find the devices."""
        folder = str(self._the_folder())
        return {
            "PULSE_SERVER": f"unix:{folder}/native",
            "PULSE_RUNTIME_PATH": folder,
            "XDG_RUNTIME_DIR": folder,
            "ALSA_CONFIG_PATH": f"{folder}/asound.conf",
            "SDL_AUDIODRIVER": "pulseaudio",
        }

    def start(self) -> None:
        """Start it, and wait until both devices run; takes about two seconds."""
        self._folder = Path(tempfile.mkdtemp(prefix="voicews-sound-"))
        try:
            (self._folder / "asound.conf").write_text(_ASOUND)
            self._start_server()
        except BaseException:
            self.stop()
            raise

    def _start_server(self) -> None:
        folder = self._the_folder()
        name = "sink_properties=device.description="
        with (folder / "log").open("wb") as server_log:
            self._server = subprocess.Popen(
                [
                    *(
                        _PROGRAM or "pulseaudio",
                        "-n",
                        "--daemonize=no",
                        "--use-pid-file=no",
                        "--exit-idle-time=-1",
                    ),
                    *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={folder}/native"),
                    *(
                        "-L",
                        f"module-null-sink sink_name=speaker rate={self.rate} channels=2 {name}Loudspeaker",
                    ),
                    *(
                        "-L",
                        f"module-null-sink sink_name=micfeed rate={self.rate} channels=1 {name}MicFeed",
                    ),
                    *("-L", "module-remap-source source_name=mic master=micfeed.monitor"),
                ],
                env={**os.environ, **self.environment, "HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=server_log,
                stderr=server_log,
            )
        self._until(lambda: self.control("set-default-sink", "speaker"))
        self._until(lambda: self.control("set-default-source", "mic"))
        if not self.read:
            return
        self._keepers = [
            subprocess.Popen(
                ["parec", "-d", source, "--latency-msec=5", "--raw"],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for source in ("mic", "speaker.monitor")
        ]
        for source in ("mic", "speaker.monitor"):
            with Ear(self, source) as gate:
                gate.wait_for(lambda pcm: len(pcm) > 64, timeout=10)

    def _until(self, fact: Callable[[], bool]) -> None:
        end, never = time.monotonic() + 10, threading.Event()
        while not fact():
            assert self._server is not None
            if time.monotonic() > end or self._server.poll() is not None:
                raise RuntimeError(f"no sound server: {(self._the_folder() / 'log').read_text()[-2000:]}")
            never.wait(0.05)

    def stop(self) -> None:
        """End all of it."""
        self.kill_server()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill_server(self) -> None:
        """Let the sound server die under its clients; :meth:`restart_server` brings a new one."""
        for process in (self._server, *self._keepers):
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self._server, self._keepers = None, []

    def restart_server(self) -> None:
        """Start a new server in the place of the one killed."""
        self._start_server()

    def freeze(self) -> None:
        """Stop the sound server's process without ending it."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def control(self, *arguments: str) -> bool:
        """Run ``pactl``; True if it succeeded."""
        return not subprocess.run(
            ["pactl", *arguments],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=False,
        ).returncode

    def speak(self, sound: str | os.PathLike[str] | bytes, rate: int | None = None) -> None:
        """Say it into the microphone, in real time; returns at its end.

        Args:
            sound: a WAV file's path, or signed 16-bit mono PCM.
            rate: of the PCM; default that of the devices.
        """
        speaking = self.start_speaking(sound, rate)
        if speaking.wait(timeout=600):
            raise RuntimeError(f"pacat ended with {speaking.returncode}")

    def start_speaking(
        self, sound: str | os.PathLike[str] | bytes, rate: int | None = None
    ) -> subprocess.Popen[bytes]:
        """The same without waiting; ``wait()`` for what is returned, or ``kill()`` it."""
        width, channels = 2, 1
        if not isinstance(sound, bytes):
            with wave.open(os.fspath(sound), "rb") as file:
                rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
                sound = file.readframes(file.getnframes())
        with tempfile.TemporaryFile() as spool:
            spool.write(sound)
            spool.seek(0)
            return subprocess.Popen(
                [
                    *("pacat", "--playback", "-d", "micfeed", "--raw", "--latency-msec=200"),
                    *(f"--rate={rate or self.rate}", f"--channels={channels}"),
                    f"--format={ {1: 'u8', 2: 's16le', 3: 's24le', 4: 's32le'}[width] }",
                ],
                env={**os.environ, **self.environment},
                stdin=spool,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def listen(self, rate: int | None = None, channels: int = 1) -> Ear:
        """Hear what the loudspeaker plays, from the ``with`` on."""
        return Ear(self, "speaker.monitor", rate, channels)

    def _the_folder(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the virtual sound server is not started")
        return self._folder

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


class Ear:
    """Records a device of the sound server: signed 16-bit PCM, mono unless asked otherwise."""

    def __init__(self, sound: VirtualSound, source: str, rate: int | None = None, channels: int = 1) -> None:
        self._sound = sound
        self._source = source
        self.rate = rate or sound.rate
        self.channels = channels
        self._changed = threading.Condition()
        self._pcm = bytearray()
        self._arrivals: list[tuple[float, int]] = []

    @property
    def pcm(self) -> bytes:
        """All that was heard so far."""
        with self._changed:
            return bytes(self._pcm)

    @property
    def arrivals(self) -> list[tuple[float, int]]:
        """When it was heard: (monotonic seconds, bytes so far)."""
        with self._changed:
            return list(self._arrivals)

    def wait_for(self, fact: Callable[[bytearray], bool], timeout: float) -> None:
        """Wait until this is true of what was heard."""
        with self._changed:
            if not self._changed.wait_for(lambda: fact(self._pcm), timeout):
                raise AssertionError(f"not heard within {timeout} s; {len(self._pcm)} bytes were")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a WAV file."""
        with wave.open(os.fspath(path), "wb") as file:
            file.setnchannels(self.channels)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(self.pcm)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while piece := os.read(process.stdout.fileno(), 65536):
            with self._changed:
                self._pcm += piece
                self._arrivals.append((time.monotonic(), len(self._pcm)))
                self._changed.notify_all()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [
                *("parec", "-d", self._source, "--latency-msec=5", "--raw", "--format=s16le"),
                *(f"--rate={self.rate}", f"--channels={self.channels}"),
            ],
            env={**os.environ, **self._sound.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._listen, args=(self._process,), name="ear")
        self._thread.start()
        try:
            self.wait_for(lambda pcm: len(pcm) > 0, timeout=10)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command with a virtual microphone and loudspeaker; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sound.virtual", description=main.__doc__)
    parser.add_argument("--rate", type=int, default=48000, help="of both devices, in Hz")
    parser.add_argument("--say", metavar="WAV", help="say this into the microphone, once")
    parser.add_argument("--after", type=float, default=2.0, help="... so many seconds after the start")
    parser.add_argument("--record", metavar="WAV", help="write what the loudspeaker plays to this file")
    parser.add_argument("command", nargs="+", help="after `--`")
    options = parser.parse_args(arguments)
    if (missing := VirtualSound.missing()) is not None:
        parser.exit(2, f"no virtual sound: {missing}\n")
    with VirtualSound(options.rate) as sound:
        command = subprocess.Popen(options.command, env={**os.environ, **sound.environment})
        signal.signal(signal.SIGTERM, lambda *_: command.terminate())
        ear = sound.listen(channels=2) if options.record else None
        speaking = None
        try:
            if ear is not None:
                ear.__enter__()
            if options.say:
                try:
                    command.wait(options.after)
                except subprocess.TimeoutExpired:
                    speaking = sound.start_speaking(options.say)
            while True:
                try:
                    return command.wait()
                except KeyboardInterrupt:  # the command has got it too, and ends in its own way
                    continue
        finally:
            for process in (command, speaking):
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait()
            if ear is not None:
                ear.__exit__(None, None, None)
                ear.save(options.record)


if __name__ == "__main__":
    sys.exit(main())
