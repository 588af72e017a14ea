"""How to install what an extra holds, for messages."""

from __future__ import annotations

__all__ = ["extra_command"]


def extra_command(extra: str, *, again: bool = False) -> str:
    """What to run.  Only here: no index knows voicews yet, so its checkout is named.

    Args:
        extra: its name in ``setup.cfg``.
        again: what it holds is there, and broken.
    """
    return f'run `pip install {"--force-reinstall " if again else ""}".[{extra}]"` in the checkout of voicews'
