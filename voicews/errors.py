"""Every exception and warning that voicews raises.

::

    VoicewsError
      ConfigError(ValueError)
      InvalidState(RuntimeError)
        OutboxFull
      TransportError(OSError)
        ConnectFailed
          ConnectTimeout(TimeoutError)
          ProxyFailed
          TlsFailed
        HandshakeRejected
        ConnectionClosed
          KeepaliveTimeout
        SessionExpired
      ProtocolError
        LocalProtocolError
          Unsupported
        RemoteProtocolError
          MessageTooLarge
      ServiceError
      CallbackFailed
      AudioError
        DeviceNotFound
        DeviceLostError
        AudioStalled
        FormatUnsupported(ValueError)
        BackendMissing(ImportError)
      RecordingError(OSError)
      ThreadUnavailable(RuntimeError)
      ShutdownTimeout(TimeoutError)

    VoicewsWarning(UserWarning)
      BackendFallback
      InsecureTls
      SlowCallback

Errors of other libraries are translated where they are met, and chained with
``raise … from …``, so ``__cause__`` always holds the original.  No message ever
contains a header value or a URL's query: those are where tokens live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicews.printable import printable

__all__ = [
    "AudioError",
    "AudioStalled",
    "BackendFallback",
    "BackendMissing",
    "CallbackFailed",
    "ConfigError",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionClosed",
    "DeviceLostError",
    "DeviceNotFound",
    "FormatUnsupported",
    "HandshakeRejected",
    "InsecureTls",
    "InvalidState",
    "KeepaliveTimeout",
    "LocalProtocolError",
    "MessageTooLarge",
    "OutboxFull",
    "ProtocolError",
    "ProxyFailed",
    "RecordingError",
    "RemoteProtocolError",
    "ServiceError",
    "SessionExpired",
    "ShutdownTimeout",
    "SlowCallback",
    "ThreadUnavailable",
    "TlsFailed",
    "TransportError",
    "Unsupported",
    "VoicewsError",
    "VoicewsWarning",
]


class VoicewsError(Exception):
    """The root of all errors of this package.  All of them can be copied and pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException would call the class with the message for its only argument.
        return _remake, (type(self), self.args), vars(self)


def _remake(kind: type[VoicewsError], args: tuple[Any, ...]) -> VoicewsError:
    error = kind.__new__(kind)
    error.args = args
    return error


class ConfigError(VoicewsError, ValueError):
    """A setting is wrong: the message names the field, the value, and what is allowed."""


class InvalidState(VoicewsError, RuntimeError):
    """The call makes no sense now, such as sending text through a closed client."""


class OutboxFull(InvalidState):
    """So much is waiting for the connection that this cannot be taken; nothing was sent."""


class TransportError(VoicewsError, OSError):
    """The network or the WebSocket underneath failed."""


class ConnectFailed(TransportError):
    """No connection came about: name not found, refused, unreachable, bad reply."""


class ConnectTimeout(ConnectFailed, TimeoutError):
    """Resolving, connecting, TLS, HTTP and the session's start took longer than allowed."""


class ProxyFailed(ConnectFailed):
    """The proxy of :class:`~voicews.ProxySettings` did not lead to the server.

    Attributes:
        status: the HTTP status of its answer, such as 407; None if it gave none.
        fatal: True if trying again is pointless.
    """

    def __init__(self, message: str, *, fatal: bool = False, status: int | None = None) -> None:
        self.fatal = fatal
        self.status = status
        super().__init__(message)


class TlsFailed(ConnectFailed):
    """The TLS handshake failed; a wrong certificate is the usual cause."""


class HandshakeRejected(TransportError):
    """The server answered the WebSocket handshake with another HTTP status than 101.

    Attributes:
        status: the HTTP status, such as 401.
        headers: the response's headers in lower case; cookies and credentials are redacted.
        retry_after: seconds that the server asked us to wait (RFC 9110 §10.2.3), or None.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.headers: Mapping[str, str] = dict(headers or {})
        self.retry_after = retry_after
        super().__init__(message or f"the server refused the WebSocket handshake with HTTP {status}")


class ConnectionClosed(TransportError):
    """The connection ended.

    Attributes:
        code: the close code (RFC 6455 §7.4); 1005 if the Close frame had none,
            1006 if the connection ended without a Close frame.
        reason: the reason given, perhaps empty.
        by_peer: True if the server closed first, False if we did.
    """

    def __init__(self, code: int, reason: str = "", *, by_peer: bool = True, message: str = "") -> None:
        self.code = code
        self.reason = reason
        self.by_peer = by_peer
        if not message:
            who = "the server" if by_peer else "this side"
            how = "without a Close frame" if code == 1006 else f"with code {code}"
            message = f"{who} ended the connection {how}" + (f": {printable(reason)}" if reason else "")
        super().__init__(message)


class KeepaliveTimeout(ConnectionClosed):
    """Nothing was heard from the server in the time that ``Timeouts`` allows."""

    def __init__(self, message: str) -> None:
        super().__init__(1006, by_peer=False, message=message)


class SessionExpired(TransportError):
    """The server had announced the session's end, so the client moved to a new one in time."""


class ProtocolError(VoicewsError):
    """One side broke the rules of WebSocket or of the dialect."""


class LocalProtocolError(ProtocolError):
    """We asked for something that the protocol does not allow."""


class Unsupported(LocalProtocolError):
    """The dialect has no way to say this; the message names the command and the dialect."""


class RemoteProtocolError(ProtocolError):
    """The server said something that the protocol does not allow.

    Attributes:
        code: the close code that we answer with (RFC 6455 §7.4.1): 1002 or 1007.
    """

    def __init__(self, message: str, *, code: int = 1002) -> None:
        self.code = code
        super().__init__(message)


class MessageTooLarge(RemoteProtocolError):
    """A message or its number of fragments went over ``Limits``; it is not read on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code=1009)


class ServiceError(VoicewsError):
    """The service behind the socket reported an error of its own.

    Attributes:
        code: the service's own word or number for it, or None.
        message: the service's text.
        fatal: True if trying again is pointless.
    """

    def __init__(self, message: str, *, code: str | int | None = None, fatal: bool = False) -> None:
        self.code = code
        self.message = message
        self.fatal = fatal
        named = f" {code}" if code is not None else ""
        super().__init__(printable(f"the server reported an error{named}: {message}"))


class CallbackFailed(VoicewsError):
    """A callback raised and ``ClientConfig(fail_fast=True)`` ended the run; see ``__cause__``."""


class AudioError(VoicewsError):
    """Sound could not be captured or played."""


class DeviceNotFound(AudioError):
    """There is no such sound device; the message lists those that exist."""


class DeviceLostError(AudioError):
    """A sound device that worked has stopped: unplugged, or its sound server died.

    Attributes:
        hangs: True if the device is there, but neither it nor its driver answers.
    """

    def __init__(self, message: str, *, hangs: bool = False) -> None:
        self.hangs = hangs
        super().__init__(message)


class AudioStalled(AudioError):
    """The watchdog (``ClientConfig.watchdog``) saw no sound move for too long."""


class FormatUnsupported(AudioError, ValueError):
    """The device, file or converter cannot do this rate, width or number of channels."""


class BackendMissing(AudioError, ImportError):
    """A sound library is missing or broken; the message says which package mends it."""


class RecordingError(VoicewsError, OSError):
    """A conversation cannot be recorded: the folder cannot be written, or the disk is full."""


class ThreadUnavailable(VoicewsError, RuntimeError):
    """The system has no thread left to give; the message says what to do."""


class ShutdownTimeout(VoicewsError, TimeoutError):
    """Closing took longer than its deadline.

    Attributes:
        threads: the names of the threads that were still alive.
        callback: the name of the callback that had not returned; empty if none was running.
    """

    def __init__(self, threads: Sequence[str], *, callback: str = "") -> None:
        self.threads = tuple(threads)
        self.callback = callback
        called = (
            f"; the callback {callback} has not returned (a callback must not wait for the closing thread)"
            if callback
            else ""
        )
        super().__init__(f"still running after the deadline: {', '.join(self.threads)}{called}")


class VoicewsWarning(UserWarning):
    """The root of all warnings of this package."""


class BackendFallback(VoicewsWarning):
    """There is no sound device, so silence takes its place."""


class InsecureTls(VoicewsWarning):
    """Certificates are not checked, because ``TlsSettings(insecure=True)`` asked for it."""


class SlowCallback(VoicewsWarning):
    """A callback took so long that later events had to wait for it."""
