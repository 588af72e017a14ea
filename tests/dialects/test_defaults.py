"""The dialect of a client that was given a URL."""

from __future__ import annotations

import pytest

from voicews import ConfigError
from voicews.dialects import Plain
from voicews.dialects.defaults import dialect_of


def test_a_url_alone_means_the_plain_dialect() -> None:
    dialect = dialect_of("ws://localhost:8765")
    assert isinstance(dialect, Plain)
    assert "localhost:8765" in repr(dialect)
    assert dialect_of(dialect) is dialect


def test_what_is_no_url_of_a_websocket_server_is_refused() -> None:
    with pytest.raises(ConfigError):
        dialect_of("ftp://localhost")
    with pytest.raises(ConfigError, match="a URL or a Dialect, not int"):
        dialect_of(8765)  # type: ignore[arg-type]
