"""The vendors' own clients, each in its virtual environment (see script/interop)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["run", "vendor_python"]

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
MAKING = 900.0
"""Seconds that the making of an environment may take; pip has its own limit below this."""


def vendor_python(vendor: str) -> Path:
    """The interpreter that has this vendor's client; made if it is not there yet."""
    made = subprocess.run(
        [str(ROOT / "script" / "interop"), vendor],
        capture_output=True,
        text=True,
        timeout=MAKING,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert made.returncode == 0, f"script/interop {vendor} failed:\n{made.stderr[-3000:]}"
    return ROOT / ".venv-interop" / vendor / "bin" / "python"


def run(vendor: str, script: str, *arguments: str, said: Any = None, timeout: float = 60.0) -> Any:
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
