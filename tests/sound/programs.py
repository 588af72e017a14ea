"""Runs a program of its own, for what would take the tests along if it failed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

NO_SOUND = {
    "PULSE_SERVER": "unix:/nonexistent/pulse",
    "PIPEWIRE_REMOTE": "/nonexistent/pipewire",
    "SDL_AUDIODRIVER": "",
}
"""With :func:`no_cards`, a machine without sound."""


def no_cards(folder: Path) -> dict[str, str]:
    """The environment of a machine that has neither a sound card nor a sound server."""
    config = folder / "asound.conf"
    config.write_text("pcm.!default { type hw card 99 }\nctl.!default { type hw card 99 }\n")
    return {**NO_SOUND, "ALSA_CONFIG_PATH": str(config)}


def start(program: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start Python code in a process of its own; an empty variable is one that is not set."""
    everything = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)],
        env={name: value for name, value in everything.items() if value},
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(program: str, environment: Mapping[str, str], timeout: float = 60) -> tuple[int, str, str]:
    """Run it to its end: (exit code, stdout, stderr)."""
    with start(program, environment) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, out, err
