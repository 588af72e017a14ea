"""A short answer over HTTP, for services that hand out addresses or sound by it.

Sessions are pure and never call this; only what runs on a thread that may wait does, such as
:meth:`Dialect.request`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from voicews.dialects.base import bare_url
from voicews.errors import ConnectFailed, ConnectTimeout, HandshakeRejected, TransportError

__all__ = ["Fetch", "fetch"]

Fetch = Callable[[str, Mapping[str, str]], bytes]
"""Gets an address and headers, and returns the body."""

_TIMEOUT = 10.0
_LARGEST = 16 * 1024 * 1024


def fetch(url: str, headers: Mapping[str, str], *, timeout: float = _TIMEOUT) -> bytes:
    """GET an address.

    No redirection is followed, for it might carry a key to another server, and no proxy of the
    environment is asked.

    Args:
        url: ``http://`` or ``https://``.
        headers: of the request.
        timeout: seconds without a byte after which it is given up.

    Raises:
        HandshakeRejected: the status was none of 2xx; it is judged like that of a WebSocket handshake.
        ConnectTimeout: it took too long.
        TlsFailed: the server's certificate is wrong.
        ConnectFailed: no connection, or no sensible answer.
    """
    import ssl
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    from voicews.tls import tls_failure

    where = bare_url(url)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConnectFailed(f"{where or 'the address'} is no http:// or https:// address")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    # Python's own HTTP errors hold the address with its query, or repeat the server's words: whoever prints
    # a traceback, or keeps the error, would have the token in it.  So these two are the only errors here that
    # ours are not chained to, and they are raised where nothing else is being handled.
    failure: TransportError | None = None
    body = b""
    try:
        with opener.open(urllib.request.Request(url, headers=dict(headers)), timeout=timeout) as answer:  # noqa: S310
            body = answer.read(_LARGEST + 1)
    except urllib.error.HTTPError as error:
        error.close()
        failure = HandshakeRejected(
            error.code,
            f"{where} answered with HTTP {error.code}",
            retry_after=_seconds(error.headers.get("Retry-After")),
        )
    except HTTPException as error:
        failure = ConnectFailed(f"{where} cannot be asked: {type(error).__name__}")
    except OSError as error:
        # urllib wraps what went wrong before the request was out.
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            raise ConnectTimeout(f"{where} did not answer within {timeout:g} s") from error
        if isinstance(cause, ssl.SSLError):
            raise tls_failure(cause, "the TLS handshake", where) from error
        raise ConnectFailed(f"{where} cannot be asked: {type(cause).__name__}") from error
    if failure is not None:
        raise failure
    if len(body) > _LARGEST:
        raise ConnectFailed(f"{where} answered with more than {_LARGEST} bytes")
    return body


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.strip().isdigit() else None
