"""What the machine can bear."""

from __future__ import annotations

import os

__all__ = ["has_little_memory"]

_LITTLE = 900 * 1024 * 1024  # bytes: a Pi Zero 2 W has 512 MB, a Pi 3 has 1 GB


def has_little_memory() -> bool:
    """Whether models of 280 MB together would crowd out everything else; False if nobody can tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < _LITTLE
    except (ValueError, OSError):
        return False
