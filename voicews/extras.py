"""How to install what an extra holds, for messages."""

from __future__ import annotations

import sys

__all__ = ["extra_command"]


def extra_command(extra: str, *, again: bool = False) -> str:
    """What to run.  Only here: no index knows voicews yet, so its checkout is named.

    Args:
        extra: its name in ``setup.cfg``.
        again: what it holds is there, and broken.
    """
    options = "--force-reinstall " if again else ""
    command = f'run `pip install {options}".[{extra}]"` in the checkout of voicews'
    if extra == "assistant" and sys.version_info >= (3, 15):  # setup.cfg leaves that extra empty there
        command += " with Python 3.14 or older (onnxruntime, which it needs, has no release for newer ones)"
    return command
