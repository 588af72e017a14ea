"""What the machine can bear."""

from __future__ import annotations

import os
import sys

__all__ = ["TO_INSTALL", "has_little_memory"]

TO_INSTALL = "pip install voicews[assistant]"
"""How to get what is missing; the end of a message."""
if sys.version_info >= (3, 15):  # setup.cfg leaves the extra empty there
    TO_INSTALL += ", under Python 3.14 or older (onnxruntime, a part of it, has no release for newer ones)"

_LITTLE = 900 * 1024 * 1024  # bytes: a Pi Zero 2 W has 512 MB, a Pi 3 has 1 GB


def has_little_memory() -> bool:
    """Whether models of 280 MB together would crowd out everything else; False if nobody can tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < _LITTLE
    except (ValueError, OSError):
        return False
