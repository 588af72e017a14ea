"""Keeps what we open clear of the file descriptors of stdin, stdout and stderr."""

from __future__ import annotations

import contextlib
import os

__all__ = ["occupy_standard_descriptors"]


def occupy_standard_descriptors() -> None:
    """Open the null device where 0, 1 or 2 is closed, as in a daemon that was started with ``2>&-``.

    Otherwise the next socket or file would get that number, and whatever C libraries write to stderr
    would go to a server or into a recording.  Call it before anything is opened that lives long.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # what is opened next will say why
                null = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
                if null > 2:  # another thread was faster
                    os.close(null)
