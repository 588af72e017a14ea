"""What the triangle tests share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicews.testing import FakeConnection


@pytest.fixture
def said_by_fakes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Grows by each message in JSON that a fake server says, parsed."""
    said: list[Any] = []
    send = FakeConnection.send

    def note(self: FakeConnection, message: Any) -> None:
        if not isinstance(message, bytes):
            said.append(json.loads(message) if isinstance(message, str) else json.loads(json.dumps(message)))
        send(self, message)

    monkeypatch.setattr(FakeConnection, "send", note)
    return said
