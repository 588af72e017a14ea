"""Keeps the chatter of sound libraries off stderr.

ALSA, JACK and PortAudio tell each failed guess about a device on stderr: a hundred lines on a
machine without a sound card, where the error that matters is raised anyway.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

__all__ = ["hush", "quiet_stderr"]

log = logging.getLogger(__name__)

_NOISE = re.compile(
    rb"\s*$|ALSA lib |Expression '|CRITICAL: |JackShm|[Jj]ack server|jack_client|Cannot connect to server"
    rb"|connect\(2\) call|attempt to connect to server failed|.*(?:PulseAudio|pulse).*"
)
"""Lines that a sound library writes; whatever else came in between is somebody's, and is passed on."""

_HANDLERS = {
    "libasound": ("snd_lib_error_set_handler",),
    "libjack": ("jack_set_error_function", "jack_set_info_function"),
}


def hush(*libraries: str) -> None:
    """Give these copies of ALSA's or JACK's library, named by file or path, a deaf error handler.

    It stays for the life of the process, and so silences what their threads say later.  A
    library that is not there, or has no such handler, is passed over.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    # Any C function that takes nothing and changes nothing will do, whatever it is called with.
    # One written in Python would be called by threads that outlive the interpreter.
    deaf = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
    for path in libraries:
        for kind, setters in _HANDLERS.items():
            if kind in Path(path).name:
                _set_handlers(path, setters, deaf)


def _set_handlers(path: str, setters: tuple[str, ...], handler: ctypes.c_void_p) -> None:
    import ctypes

    try:
        library = ctypes.CDLL(path)
        for name in setters:
            setter = getattr(library, name)
            setter.argtypes = [ctypes.c_void_p]
            setter(handler)
    except (OSError, AttributeError) as error:
        log.debug("%s keeps its own error handler: %s", path, error)


class _Held:
    """The stream ``stderr`` of C's library, held back by as many bodies as are at work.

    Sound libraries write to that stream, and Python does not.  File descriptor 2 is left alone: other
    threads and child processes write to it meanwhile, and where a program was started without a stderr
    it is something else.  GNU's library documents that the stream may be exchanged; others forbid it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies = 0
        self._library: ctypes.CDLL | None = None
        self._prepared = False
        self._rest = b""

    def hold(self) -> None:
        with self._lock:
            self._bodies += 1
            if not self._prepared:
                self._prepared = True
                self._prepare()
            if self._bodies == 1 and self._library is not None:
                self._stderr.value = self._stream

    def _prepare(self) -> None:
        """Leave ``_library`` None where the stream must not be exchanged.

        What takes its place lies in memory, and stays for good: another thread may still write to it.
        """
        if not sys.platform.startswith("linux"):
            return
        import ctypes

        library = ctypes.CDLL(None)
        if not hasattr(library, "gnu_get_libc_version"):
            return
        library.open_memstream.restype = ctypes.c_void_p
        library.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        for name in ("fflush", "rewind", "flockfile", "funlockfile"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        self._start, self._size = ctypes.c_void_p(), ctypes.c_size_t()
        stream = library.open_memstream(ctypes.byref(self._start), ctypes.byref(self._size))
        if not stream:  # no memory: rather noise than an error
            return
        self._stderr = ctypes.c_void_p.in_dll(library, "stderr")
        self._real, self._stream = self._stderr.value, stream
        self._library = library

    def release(self) -> None:
        with self._lock:
            self._bodies -= 1
            if self._library is None:
                return
            if not self._bodies:
                self._stderr.value = self._real
            self._library.fflush(self._stream)
            if self._size.value or (self._rest and not self._bodies):
                self._pass_on(self._library)

    def _pass_on(self, library: ctypes.CDLL) -> None:
        import ctypes

        library.flockfile(self._stream)
        try:
            library.fflush(self._stream)
            held = self._rest + ctypes.string_at(self._start.value or 0, self._size.value)
            library.rewind(self._stream)
            library.fflush(self._stream)
        finally:
            library.funlockfile(self._stream)
        # Somebody may still be writing the rest of a line.
        whole = held.rfind(b"\n") + 1 if self._bodies else len(held)
        self._rest = held[whole:]
        for line in held[:whole].splitlines(keepends=True):
            if _NOISE.match(line):
                log.debug("%s", line.decode(errors="replace").rstrip())
            else:
                library.fputs(line, self._real)

    def after_fork(self) -> None:
        """In a child process nobody is left who would release it."""
        if self._library is not None:
            self._stderr.value = self._real
        self.__init__()  # type: ignore[misc]


_held = _Held()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.after_fork)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what C libraries write to stderr, in the whole process.

    Noise goes to the debug log; other lines come to stderr as soon as a body, this or another, ends.
    Cheap enough to stand round every call of a device.
    """
    _held.hold()
    try:
        yield
    finally:
        _held.release()
