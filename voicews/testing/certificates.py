"""Certificates made on the spot: a good one, and those that no client should accept."""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from voicews.errors import BackendMissing, ConfigError
from voicews.extras import extra_command

__all__ = ["KINDS", "Certificates"]

KINDS = ("good", "wrong-name", "expired", "self-signed", "unknown-issuer")
"""What a server's certificate can be."""

_NAMES = ("localhost", "127.0.0.1", "::1")


class Certificates:
    """A certificate authority that lives as long as the ``with`` block.

    Needs the ``testing`` extra (``pip install ".[testing]"`` in the checkout), for trustme.

    Attributes:
        ca_file: PEM file of the authority, for ``TlsSettings(ca_file=…)``.

    Raises:
        BackendMissing: trustme is not installed.
    """

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError as error:
            raise BackendMissing(f"TLS servers for tests need trustme: {extra_command('testing')}") from error
        self._folder = tempfile.TemporaryDirectory(prefix="voicews-certificates-")
        self._authority = trustme.CA()
        self._stranger = trustme.CA()
        self.ca_file = str(Path(self._folder.name) / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)

    def context(self, kind: str = "good") -> ssl.SSLContext:
        """What a server needs to present such a certificate (one of :data:`KINDS`) for this machine.

        Raises:
            ConfigError: there is no such kind.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        match kind:
            case "good":
                self._authority.issue_cert(*_NAMES).configure_cert(context)
            case "wrong-name":
                self._authority.issue_cert("elsewhere.example").configure_cert(context)
            case "expired":
                now = dt.datetime.now(dt.UTC)
                began, ended = now - dt.timedelta(days=30), now - dt.timedelta(days=1)
                self._authority.issue_cert(*_NAMES, not_before=began, not_after=ended).configure_cert(context)
            case "unknown-issuer":
                self._stranger.issue_cert(*_NAMES).configure_cert(context)
            case "self-signed":
                context.load_cert_chain(self._self_signed())
            case _:
                raise ConfigError(
                    f"there is no certificate of the kind {kind!r}; there are {', '.join(KINDS)}"
                )
        return context

    def _self_signed(self) -> str:
        """A PEM file of a key and a certificate that vouches for itself."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = Path(self._folder.name) / "self-signed.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return str(path)

    def close(self) -> None:
        """Delete the files."""
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
