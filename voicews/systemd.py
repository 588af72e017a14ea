"""What systemd wants to hear from a service of ``Type=notify``; a no-op anywhere else.

The protocol is a datagram of ``NAME=value`` lines to the socket named in ``NOTIFY_SOCKET``:
sd_notify(3).
"""

from __future__ import annotations

import logging
import os
import socket

__all__ = ["notify"]

log = logging.getLogger(__name__)


def notify(*lines: str) -> bool:
    """Tell the service manager, such as ``notify("READY=1", "STATUS=CONNECTED")``; any thread, never waits.

    Returns:
        True if there is one, and it was told.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # Linux's abstract namespace
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), socket.MSG_NOSIGNAL, address)
    except OSError as error:
        log.debug("systemd could not be told %s: %s", lines, error)
        return False
    return True
