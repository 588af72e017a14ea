"""The vendors' own clients, each in its virtual environment (see script/interop)."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "run", "serving", "vendor_python"]

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
MAKING = 900.0
"""Seconds that the making of an environment may take; pip has its own limit below this."""


@cache
def _made(vendor: str) -> subprocess.CompletedProcess[str]:
    """Tried once: what cannot be installed for one test cannot be for the next."""
    return subprocess.run(
        [str(ROOT / "script" / "interop"), vendor],
        capture_output=True,
        text=True,
        timeout=MAKING,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def vendor_python(vendor: str) -> Path:
    """The interpreter that has this vendor's client; made if it is not there yet."""
    made = _made(vendor)
    assert made.returncode == 0, f"script/interop {vendor} failed:\n{made.stderr[-3000:]}"
    return ROOT / ".venv-interop" / vendor / "bin" / "python"


def run(vendor: str, script: str, *arguments: str, said: Any = None, timeout: float = 240.0) -> Any:
    """Run ``scripts/SCRIPT.py`` among the vendor's packages.

    Args:
        said: goes to its standard input as JSON.
        timeout: seconds.

    Returns:
        What it printed, parsed from JSON.
    """
    done = subprocess.run(
        [str(vendor_python(vendor)), str(SCRIPTS / f"{script}.py"), *arguments],
        input=json.dumps(said),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{script}.py failed:\n{done.stderr[-4000:]}"
    return json.loads(done.stdout)


@contextmanager
def serving(vendor: str, script: str, *arguments: str, timeout: float = 240.0) -> Iterator[Any]:
    """Run ``scripts/SCRIPT.py``, a server, among the vendor's packages, until this is left.

    Args:
        timeout: seconds that it may take to begin, and to end once its standard input has.

    Yields:
        Its first line, parsed from JSON.
    """
    with subprocess.Popen(
        [str(vendor_python(vendor)), str(SCRIPTS / f"{script}.py"), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin
        assert server.stdout
        assert server.stderr
        words: list[str] = []
        reader = threading.Thread(target=words.extend, args=(server.stderr,), daemon=True)
        reader.start()
        alarm = threading.Timer(timeout, server.kill)
        alarm.start()
        try:
            line = server.stdout.readline()
            alarm.cancel()
            assert line, f"{script}.py did not begin:\n{''.join(words)[-4000:]}"
            yield json.loads(line)
        finally:
            alarm.cancel()
            alarm.join()
            server.stdin.close()
            try:
                server.wait(timeout)
            except subprocess.TimeoutExpired:
                server.kill()
            reader.join(timeout)
    assert server.returncode == 0, f"{script}.py failed:\n{''.join(words)[-4000:]}"
