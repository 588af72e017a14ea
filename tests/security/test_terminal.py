"""A server's words reach a terminal, a pipe and a log; they must not command any of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voicews.testing import FaultServer, steps

ROOT = Path(__file__).parents[2]
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2028\x7f"
CONTROLS = {"\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\x7f", "\r"}

SCRIPTS = {
    "a transcript": [
        steps.accept(),
        steps.send({"type": "transcript", "role": "assistant", "text": f"{EVIL}\nlink   connected"}),
        steps.close(1000),
    ],
    "tokens": [
        steps.accept(),
        steps.send({"type": "token", "text": EVIL}),
        steps.send({"type": "response.done"}),
        steps.close(1000),
    ],
    "an error": [
        steps.accept(),
        steps.send({"type": "error", "message": EVIL, "code": EVIL}),
        steps.close(1011),
    ],
    "a reason": [steps.accept(), steps.close(1008, f"{EVIL}\r\nvoicews: all is well")],
    "a tool": [
        steps.accept(),
        steps.send({"type": "tool_call", "id": "1", "name": EVIL, "arguments": {}}),
        steps.close(1008),
    ],
    "what is unknown": [steps.accept(), steps.send({"type": EVIL, EVIL: EVIL}), steps.close(1008)],
    "headers": [steps.refuse(400, headers={"X": "\x1b]0;owned\x07"})],
}


@pytest.mark.parametrize("shape", [[], ["--json"], ["-vv"]], ids=["plain", "json", "log"])
@pytest.mark.parametrize("words", SCRIPTS)
def test_what_comes_out_is_harmless(words: str, shape: list[str]) -> None:
    with FaultServer(SCRIPTS[words]) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "voicews", "talk", server.url, *shape),
                "--text",
                "Hello",
                "--attempts",
                "0",
            ],
            capture_output=True,
            timeout=60,
            cwd=ROOT,
            env={"VOICEWS_AUDIO": "null", "PATH": "", "PYTHONUTF8": "1"},
            check=False,
        )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert out or err
    assert not CONTROLS & set(out + err)
    assert "\nlink   connected\nlink   connected" not in out
    assert "\nvoicews: all is well" not in err
    if shape == ["--json"]:
        told = [json.loads(line) for line in out.splitlines()]
        if words == "a transcript":
            assert f"{EVIL}\nlink   connected" in [line.get("text") for line in told], (
                "programs get it as it was"
            )
