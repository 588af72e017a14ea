"""The assistant promises to need no network; so nothing in it may phone home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_loading_the_voice_leaves_no_record_of_its_use(tmp_path: Path) -> None:
    code = (
        "from voicews.assistant.voice import HibariVoice\n"
        "sound = b''.join(HibariVoice().say('Nobody else has to know.'))\n"
        "assert len(sound) > 10000"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={
            **{name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"},
            "HOME": str(tmp_path),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        },
        check=True,
        timeout=60,
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
