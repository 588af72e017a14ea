"""What has to be asked of a PulseAudio server (or PipeWire in its place) before SDL may meet it.

SDL 2 crashes the process where the server has no loudspeaker at all, and waits for ever for a
server that accepts connections and does not answer.  Both happen: while devices are exchanged,
and while a machine is overloaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from typing import Any

from voicews.deadline import Deadline
from voicews.errors import AudioError, DeviceLostError, DeviceNotFound

__all__ = ["require_loudspeaker"]

_LIBRARY = "libpulse.so.0"
_NO_AUTOSPAWN = 1
_READY, _FAILED, _TERMINATED = 4, 5, 6
"""Of ``pa_context_state_t``."""
_SLICE = 50_000
"""Microseconds of one wait."""

_lock = threading.Lock()


class _ServerInfo(ctypes.Structure):
    """The beginning of ``pa_server_info``."""

    _fields_ = (
        ("user_name", ctypes.c_char_p),
        ("host_name", ctypes.c_char_p),
        ("server_version", ctypes.c_char_p),
        ("server_name", ctypes.c_char_p),
        ("sample_format", ctypes.c_int),
        ("sample_rate", ctypes.c_uint32),
        ("sample_channels", ctypes.c_uint8),
        ("default_sink_name", ctypes.c_char_p),
    )


_Answer = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_ServerInfo), ctypes.c_void_p)


def require_loudspeaker(seconds: float = 2.0) -> None:
    """Make sure that SDL can meet the sound server, if there is one and SDL would go to it.

    Args:
        seconds: how long the server may take.

    Raises:
        DeviceNotFound: it has no loudspeaker.
        DeviceLostError: it does not answer.
    """
    if os.environ.get("SDL_AUDIODRIVER") not in (None, "", "pulse", "pulseaudio"):
        return
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:  # then SDL cannot use it either
        return
    deadline = Deadline(seconds)
    with _lock, _connection(library) as (mainloop, context):
        while (state := library.pa_context_get_state(context)) != _READY:
            if state in (_FAILED, _TERMINATED):  # there is no server, which SDL notices by itself
                return
            _go_on(library, mainloop, deadline)
        names: list[bytes | None] = []

        def answer(_context: object, info: Any, _data: object) -> None:
            names.append(info.contents.default_sink_name if info else b"?")

        callback = _Answer(answer)
        operation = ctypes.c_void_p(library.pa_context_get_server_info(context, callback, None))
        try:
            while not names:
                _go_on(library, mainloop, deadline)
        finally:
            library.pa_operation_cancel(operation)
            library.pa_operation_unref(operation)
        if not names[0]:
            raise DeviceNotFound("the sound server has no loudspeaker: connect one; NullSink() does without")


@contextlib.contextmanager
def _connection(library: ctypes.CDLL) -> Iterator[tuple[ctypes.c_void_p, ctypes.c_void_p]]:
    for name in ("pa_mainloop_new", "pa_mainloop_get_api", "pa_context_new", "pa_context_get_server_info"):
        getattr(library, name).restype = ctypes.c_void_p
    mainloop = ctypes.c_void_p(library.pa_mainloop_new())
    api = ctypes.c_void_p(library.pa_mainloop_get_api(mainloop))
    context = ctypes.c_void_p(library.pa_context_new(api, b"voicews"))
    try:
        library.pa_context_connect(context, None, _NO_AUTOSPAWN, None)
        yield mainloop, context
    finally:
        library.pa_context_disconnect(context)
        library.pa_context_unref(context)
        library.pa_mainloop_free(mainloop)


def _go_on(library: ctypes.CDLL, mainloop: ctypes.c_void_p, deadline: Deadline) -> None:
    """Let the library work for a moment."""
    if deadline.passed:
        raise DeviceLostError("the sound server does not answer; restart it", hangs=True)
    if library.pa_mainloop_prepare(mainloop, _SLICE) < 0 or library.pa_mainloop_poll(mainloop) < 0:
        raise AudioError("the sound server's library does not work")
    if library.pa_mainloop_dispatch(mainloop) < 0:
        raise AudioError("the sound server's library does not work")
