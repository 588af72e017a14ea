"""Models loaded once for all tests of the assistant, a server, and a client to call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.assistant.caller import Caller, calling
from voicews.assistant import AssistantServer, HomeHelper
from voicews.assistant.sphinx import PocketsphinxEars
from voicews.assistant.voice import FliteVoice, HibariVoice
from voicews.assistant.whisper import WhisperEars


@pytest.fixture(scope="session")
def ears() -> WhisperEars:
    return WhisperEars()


@pytest.fixture(scope="session")
def light_ears() -> PocketsphinxEars:
    return PocketsphinxEars()


@pytest.fixture(scope="session")
def voice() -> HibariVoice:
    return HibariVoice()


@pytest.fixture(scope="session")
def flite() -> FliteVoice:
    return FliteVoice("slt")


@pytest.fixture
def server(ears: WhisperEars, voice: HibariVoice) -> Iterator[AssistantServer]:
    with AssistantServer(brain=HomeHelper(seed=0), ears=ears, voice=voice) as running:
        yield running


@pytest.fixture
def call(server: AssistantServer) -> Iterator[Callable[[], Caller]]:
    """Connect to the server; hung up at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(calling(server.url))
