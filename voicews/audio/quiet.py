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
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import ctypes

__all__ = ["hush", "quiet_stderr"]

log = logging.getLogger(__name__)

_NOISE = re.compile(
    rb"\s*$|ALSA lib |Expression '|CRITICAL: |JackShm|[Jj]ack server|jack_client|Cannot connect to server"
    rb"|connect\(2\) call|attempt to connect to server failed|.*(?:PulseAudio|pulse).*"
)
"""Lines that a sound library writes; whatever else came in between is somebody's, and is passed on."""

_LONGEST = 3.0
"""Seconds after which stderr comes back even if the library hangs."""

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
    """Stderr, held back by as many bodies as are at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies = 0
        self._stderr: int | None = None
        self._spool: BinaryIO | None = None

    def hold(self) -> None:
        with self._lock:
            self._bodies += 1
            if self._bodies > 1:
                return
            try:
                stderr = os.dup(2)
            except OSError:  # the process has no stderr
                return
            import tempfile

            try:
                spool = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call
            except OSError:  # nowhere to write: rather noise than an error
                os.close(stderr)
                return
            os.dup2(spool.fileno(), 2)
            self._stderr, self._spool = stderr, spool

    def release(self) -> None:
        with self._lock:
            self._bodies -= 1
            if not self._bodies:
                self._restore()

    def give_up(self) -> None:
        """Restore stderr although a body is still at work."""
        with self._lock:
            self._restore()

    def _restore(self) -> None:
        stderr, spool = self._stderr, self._spool
        if stderr is None or spool is None:
            return
        self._stderr = self._spool = None
        os.dup2(stderr, 2)
        os.close(stderr)
        with spool:
            spool.seek(0)
            for line in spool:
                if _NOISE.match(line):
                    log.debug("%s", line.decode(errors="replace").rstrip())
                else:
                    os.write(2, line)


_held = _Held()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back stderr of the whole process, on the level of the file descriptor.

    Noise goes to the debug log, other lines to stderr afterwards.  If the body takes longer
    than three seconds, stderr comes back before it ends.
    """
    _held.hold()
    guard = threading.Timer(_LONGEST, _held.give_up)
    guard.name = "voicews-stderr"
    guard.daemon = True
    guard.start()
    try:
        yield
    finally:
        guard.cancel()
        _held.release()
        guard.join()
