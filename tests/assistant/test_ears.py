from __future__ import annotations

import sys
from pathlib import Path

import pytest

from voicews.assistant import ears as module
from voicews.assistant.ears import load_ears
from voicews.assistant.sphinx import PocketsphinxEars
from voicews.assistant.whisper import WhisperEars
from voicews.errors import BackendMissing, ConfigError


def test_by_name() -> None:
    assert isinstance(load_ears("whisper"), WhisperEars)
    assert isinstance(load_ears("pocketsphinx"), PocketsphinxEars)


def test_whisper_is_taken_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_little_memory", lambda: False)
    assert isinstance(load_ears(), WhisperEars)
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    assert isinstance(load_ears(), PocketsphinxEars)


def test_pocketsphinx_is_taken_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_little_memory", lambda: True)
    assert isinstance(load_ears(), PocketsphinxEars)


def test_nothing_installed_names_the_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    monkeypatch.setattr(module, "has_little_memory", lambda: False)
    with pytest.raises(BackendMissing, match="whisper ears need ctranslate2: run `pip install"):
        load_ears()


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be auto, whisper or pocketsphinx"):
        load_ears("big")
    with pytest.raises(ConfigError, match="no CTranslate2 Whisper model"):
        load_ears(model_dir=tmp_path)
