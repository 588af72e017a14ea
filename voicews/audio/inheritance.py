"""What a child process inherits of the parent's sound devices, and has to leave alone."""

from __future__ import annotations

import ctypes

__all__ = ["never_freed"]


def never_freed(*things: object) -> None:
    """Keep these for good, also beyond the interpreter's end.

    Freeing a stream, or a sound, of the parent's would speak to its sound server over the socket
    that both share, or wait for a lock whose holder does not exist here.
    """
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
