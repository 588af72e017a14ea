"""What it means that a thread cannot be had."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from voicews.errors import ThreadUnavailable

__all__ = ["wanting"]


@contextlib.contextmanager
def wanting(thread: threading.Thread) -> Iterator[None]:
    """Around the start of a thread.

    Raises:
        ThreadUnavailable: the system gave none.
    """
    try:
        yield
    except RuntimeError as error:
        raise ThreadUnavailable(
            f"the thread {thread.name} cannot be had ({error}): end other programs or threads, or raise "
            "their limit (ulimit -u; TasksMax of systemd; pids of a container)"
        ) from error
