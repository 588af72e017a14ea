"""TLS in memory: whom to trust, one session's bytes in and out, and what its errors mean.

No socket is known here.  :class:`~voicews.wire.Wire` carries the ciphertext.
"""

from __future__ import annotations

import contextlib
import functools
import ssl
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from voicews.callables import safe_repr
from voicews.config import TlsSettings
from voicews.errors import ConfigError, ConnectFailed, InsecureTls, TlsFailed

__all__ = ["TlsSession", "tls_context", "tls_failure"]

_PIECE = 64 * 1024
"""Bytes of plaintext taken from OpenSSL at a time."""

_PASSING = frozenset(
    {
        # What a load balancer says while its backend restarts.
        "TLSV1_ALERT_INTERNAL_ERROR",
        "UNEXPECTED_EOF_WHILE_READING",
        # RFC 8446 §6.2: never seen between proper implementations, "except when messages were
        # corrupted in the network"; or when the end of ours did not arrive.
        "SSLV3_ALERT_BAD_RECORD_MAC",
        "TLSV1_ALERT_DECODE_ERROR",
        "TLSV1_ALERT_RECORD_OVERFLOW",
        # The same, noticed here.
        "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
        "DIGEST_CHECK_FAILED",
    }
)
"""OpenSSL's reasons that are worth another attempt."""


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for these settings: made once, for loading the authorities costs 30 ms, and again
    whenever one of the files has changed.

    It trusts the system's authorities (OpenSSL's, which ``SSL_CERT_FILE`` and
    ``SSL_CERT_DIR`` can move) or ``ca_file`` alone, checks the server's name, and speaks
    TLS 1.2 or newer.  ``SSLKEYLOGFILE`` is not heeded.

    Warns:
        InsecureTls: on each call, if ``insecure`` is set.

    Raises:
        ConfigError: a file of the settings cannot be used, or its key has a passphrase.
    """
    if settings.context is not None:
        return settings.context
    if settings.insecure:
        warnings.warn(
            "TlsSettings(insecure=True): any certificate is accepted, so anybody may listen in",
            InsecureTls,
            stacklevel=2,
        )
    return _make_context(
        settings, tuple(map(_last_change, (settings.ca_file, settings.certificate, settings.key)))
    )


def _last_change(path: str | None) -> int | None:
    try:
        return None if path is None else Path(path).stat().st_mtime_ns
    except OSError:  # what is wrong with it will be said when it is used
        return None


def _no_passphrase() -> str:
    raise ConfigError(
        "TlsSettings.key (or certificate) holds a private key with a passphrase, and nobody may be there to "
        "type it; make one without, or give a ready-made TlsSettings.context"
    )


@functools.lru_cache(maxsize=16)
def _make_context(settings: TlsSettings, _changes: tuple[int | None, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a write would have to wait for a read
    with _using("ca_file", settings.ca_file):
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
        elif not settings.insecure:
            context.load_default_certs()
    if settings.certificate is not None:
        with _using("certificate", settings.certificate):
            context.load_cert_chain(settings.certificate, settings.key, _no_passphrase)
    if settings.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _using(field: str, path: str | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"TlsSettings.{field} is {safe_repr(path)}, which cannot be used: {why or error}"
        ) from error


class TlsSession:
    """One TLS session in memory; any thread may call, and none ever waits for the network.

    Attributes:
        ended: True once the peer has said its farewell (close_notify).
        has_output: True if after reading TLS itself had something to say, such as an alert.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._lock = threading.Lock()
        self.ended = False
        self.has_output = False

    def shake_hands(self, received: bytes) -> bool:
        """Take the next step of the handshake; True once it is done."""
        with self._lock:
            self._incoming.write(received)
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                return False
            return True

    def decrypt(self, received: bytes) -> bytes:
        """All plaintext that is complete now; sets ``ended`` and ``has_output``."""
        with self._lock:
            self._incoming.write(received)
            pieces = []
            try:
                with contextlib.suppress(ssl.SSLWantReadError):  # the rest of a record is on its way
                    while not self.ended:
                        piece = self._session.read(_PIECE)
                        self.ended = not piece
                        pieces.append(piece)
                        if not self._incoming.pending:  # saves the exception that would end the round
                            break
            finally:
                self.has_output = self._outgoing.pending > 0
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """The ciphertext of the data, after whatever else has to go out first."""
        with self._lock:
            self._session.write(data)
            return self._outgoing.read()

    def take_output(self) -> bytes:
        """What TLS itself has to say."""
        with self._lock:
            return self._outgoing.read()


def tls_failure(error: ssl.SSLError, step: str, where: str) -> ConnectFailed:
    """What went wrong in the opening: a :class:`TlsFailed` if trying again is pointless.

    Args:
        error: OpenSSL's.
        step: what was being done, such as ``the TLS handshake``.
        where: with whom, as ``host:port``.
    """
    if isinstance(error, ssl.SSLEOFError) or error.reason in _PASSING:
        return ConnectFailed(f"{step} with {where} was broken off: {error.reason}")
    return TlsFailed(f"no secure connection to {where}: {_explained(error)}")


def _explained(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {error.verify_message}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS there; is it a ws:// server?"
    return str(error.reason or error.strerror)
