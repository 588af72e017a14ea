from __future__ import annotations

import contextlib
import datetime as dt
import os
import ssl
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.line import Authority
from voicews.backoff import Verdict, judge
from voicews.config import TlsSettings
from voicews.errors import ConfigError, ConnectFailed, InsecureTls, TlsFailed
from voicews.tls import TlsSession, tls_context, tls_failure


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Server:
    """The other end, in memory as well: OpenSSL by the standard library's own means."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def shake_hands(self, received: bytes) -> bytes:
        self.incoming.write(received)
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return self.outgoing.read()
        except ssl.SSLError:  # the alert goes out all the same
            return self.outgoing.read()
        return self.outgoing.read()

    def say(self, data: bytes) -> bytes:
        self.session.write(data)
        return self.outgoing.read()

    def hear(self, received: bytes) -> bytes:
        self.incoming.write(received)
        heard = b""
        while self.incoming.pending or self.session.pending():
            try:
                heard += self.session.read(1 << 16)
            except ssl.SSLWantReadError:
                break
        return heard


def shake_hands(client: TlsSession, server: Server) -> None:
    """Until both are content; raises what the client's side raises."""
    received = b""
    while not client.shake_hands(received):
        received = server.shake_hands(client.take_output())
        assert received, "the server has hung up"
    assert client.decrypt(server.shake_hands(client.take_output())) == b""  # session tickets


def pair(settings: TlsSettings, server: ssl.SSLContext, host: str = "localhost") -> tuple[TlsSession, Server]:
    one, other = TlsSession(tls_context(settings), host), Server(server)
    shake_hands(one, other)
    return one, other


class TestSession:
    @given(
        blocks=st.lists(st.binary(max_size=40_000), max_size=6),
        cuts=st.lists(st.integers(1, 20_000), min_size=1, max_size=8),
    )
    def test_what_is_said_is_heard_however_it_is_cut(
        self, authority: Authority, blocks: list[bytes], cuts: list[int]
    ) -> None:
        client, server = pair(TlsSettings(ca_file=authority.ca_file), authority.server_context())
        line = b"".join(map(server.say, blocks))
        heard, turn = client.decrypt(b""), 0
        while line:
            heard += client.decrypt(line[: cuts[turn % len(cuts)]])
            line = line[cuts[turn % len(cuts)] :]
            turn += 1
        assert heard == b"".join(blocks)
        assert b"".join(server.hear(client.encrypt(block)) for block in blocks if block) == heard
        assert not client.ended

    def test_the_farewell_is_told_from_a_cut(self, authority: Authority) -> None:
        client, server = pair(TlsSettings(ca_file=authority.ca_file), authority.server_context())
        last = server.say(b"bye")
        with pytest.raises(ssl.SSLWantReadError):
            server.session.unwrap()
        assert client.decrypt(last) == b"bye"
        assert not client.ended
        assert client.decrypt(server.outgoing.read()) == b""
        assert client.ended

    @given(at=st.integers(0, 10_000), mask=st.integers(1, 255))
    def test_not_one_changed_bit_is_believed(self, authority: Authority, at: int, mask: int) -> None:
        client, server = pair(TlsSettings(ca_file=authority.ca_file), authority.server_context())
        client.decrypt(b"")
        record = bytearray(server.say(b"x" * 600))
        record[at % len(record)] ^= mask
        heard = b""
        with contextlib.suppress(ssl.SSLError):  # or else what is now a longer record is waited for
            heard = client.decrypt(bytes(record) + server.say(b"y"))
        assert heard == b""

    def test_plaintext_is_nowhere_in_what_goes_out(self, authority: Authority) -> None:
        client, _ = pair(TlsSettings(ca_file=authority.ca_file), authority.server_context())
        assert b"sk-canary" not in client.encrypt(b"Authorization: Bearer sk-canary")


class TestTrust:
    def refused(
        self, settings: TlsSettings, server: ssl.SSLContext, host: str = "localhost"
    ) -> ConnectFailed:
        with pytest.raises(ssl.SSLError) as caught:
            pair(settings, server, host)
        return tls_failure(caught.value, "the TLS handshake", "localhost:443")

    def test_whom_the_authority_knows_is_trusted(self, authority: Authority) -> None:
        client, server = pair(TlsSettings(ca_file=authority.ca_file), authority.server_context())
        assert server.hear(client.encrypt(b"hello")) == b"hello"

    @pytest.mark.parametrize("host", ["example.com", "localhost.example", "127.0.0.2", "xlocalhost"])
    def test_another_name_is_not(self, authority: Authority, host: str) -> None:
        error = self.refused(TlsSettings(ca_file=authority.ca_file), authority.server_context(), host)
        assert isinstance(error, TlsFailed)
        assert host in str(error)
        assert judge(error) is Verdict.FATAL

    def test_a_name_in_the_common_name_alone_does_not_count(self, tmp_path: Path) -> None:
        """RFC 9525 §2: names are in subjectAltName."""
        ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        ca.issue_cert("other.example", common_name="localhost").configure_cert(context)
        error = self.refused(TlsSettings(ca_file=str(tmp_path / "ca.pem")), context)
        assert isinstance(error, TlsFailed)

    def test_a_certificate_of_yesterday_is_not(self, tmp_path: Path) -> None:
        ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        ca.issue_cert("localhost", not_after=yesterday).configure_cert(context)
        error = self.refused(TlsSettings(ca_file=str(tmp_path / "ca.pem")), context)
        assert isinstance(error, TlsFailed)
        assert "expired" in str(error)

    def test_a_stranger_is_not_even_with_the_right_name(self, authority: Authority) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(context)
        assert isinstance(self.refused(TlsSettings(ca_file=authority.ca_file), context), TlsFailed)
        assert isinstance(self.refused(TlsSettings(), authority.server_context()), TlsFailed)

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    def test_old_tls_is_not_spoken(self, authority: Authority, version: ssl.TLSVersion) -> None:
        """RFC 8996."""
        context = authority.server_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        error = self.refused(TlsSettings(ca_file=authority.ca_file), context)
        assert isinstance(error, TlsFailed)
        assert "VERSION" in str(error)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_both_of_todays_are(self, authority: Authority, version: ssl.TLSVersion) -> None:
        context = authority.server_context()
        context.minimum_version = context.maximum_version = version
        client, server = pair(TlsSettings(ca_file=authority.ca_file), context)
        assert client.decrypt(server.say(b"hello")) == b"hello"

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("damage", ["cut off", "spoilt"])
    def test_a_handshake_that_the_network_damages_is_tried_again(
        self, damage: str, version: ssl.TLSVersion, authority: Authority
    ) -> None:
        """Its last message arrives in part, or with a bit turned, and the server says so."""
        context = authority.server_context()
        context.minimum_version = context.maximum_version = version
        client = TlsSession(tls_context(TlsSettings(ca_file=authority.ca_file)), "localhost")
        server = Server(context)
        client.shake_hands(b"")
        client.shake_hands(server.shake_hands(client.take_output()))
        last = bytearray(client.take_output())
        if damage == "spoilt":
            last[-1] ^= 1
        server.incoming.write(last[:-1] if damage == "cut off" else last)
        if damage == "cut off":
            server.incoming.write_eof()
        with pytest.raises(ssl.SSLError):
            server.session.do_handshake()
        alert = server.outgoing.read()
        with pytest.raises(ssl.SSLError) as caught:
            client.decrypt(alert) if version is ssl.TLSVersion.TLSv1_3 else client.shake_hands(alert)
        error = tls_failure(caught.value, "the TLS handshake", "there:1")
        assert judge(error) is Verdict.RETRY
        assert not isinstance(error, TlsFailed)

    def test_what_passes_is_tried_again(self) -> None:
        error = ssl.SSLError(1, "internal error")
        error.reason = "TLSV1_ALERT_INTERNAL_ERROR"
        assert judge(tls_failure(error, "the TLS handshake", "there:1")) is Verdict.RETRY


class TestContext:
    def test_the_context_is_made_once(self, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        log = authority.folder / "keys.log"
        monkeypatch.setenv("SSLKEYLOGFILE", str(log))
        settings = TlsSettings(ca_file=authority.ca_file, certificate=authority.server_file)
        context = tls_context(settings)
        assert context is tls_context(
            TlsSettings(ca_file=authority.ca_file, certificate=authority.server_file)
        )
        assert context is not tls_context(TlsSettings(ca_file=authority.ca_file))
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert not context.keylog_filename
        assert not log.exists()
        own = ssl.create_default_context()
        assert tls_context(TlsSettings(context=own)) is own

    @pytest.mark.parametrize("content", [None, "no certificate"])
    @pytest.mark.parametrize("field", ["ca_file", "certificate"])
    def test_a_wrong_file_is_named(self, field: str, content: str | None, tmp_path: Path) -> None:
        path = tmp_path / "wrong.pem"
        if content is not None:
            path.write_text(content)
        settings = (
            TlsSettings(ca_file=str(path)) if field == "ca_file" else TlsSettings(certificate=str(path))
        )
        with pytest.raises(ConfigError, match=rf"TlsSettings\.{field} is .*wrong\.pem"):
            tls_context(settings)

    def test_a_renewed_file_is_read_again(self, authority: Authority, tmp_path: Path) -> None:
        """A device runs for years, and certificates for months."""
        path = tmp_path / "client.pem"
        path.write_bytes(Path(authority.client_file()).read_bytes())
        settings = TlsSettings(ca_file=authority.ca_file, certificate=str(path))
        context = tls_context(settings)
        assert tls_context(settings) is context
        os.utime(path, ns=(1, 1))
        assert tls_context(settings) is not context

    def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        """OpenSSL would ask on the terminal, and an unattended device would wait for ever."""
        from cryptography.hazmat.primitives import serialization

        pem = Path(authority.client_file()).read_bytes()
        locked = serialization.load_pem_private_key(pem, None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
        (tmp_path / "key.pem").write_bytes(locked)
        settings = TlsSettings(certificate=authority.client_file(), key=str(tmp_path / "key.pem"))
        with pytest.raises(ConfigError, match="passphrase"):
            tls_context(settings)

    def test_insecure_warns_each_time(self) -> None:
        for _ in range(2):
            with pytest.warns(InsecureTls):
                context = tls_context(TlsSettings(insecure=True))
        assert context.verify_mode == ssl.CERT_NONE
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
