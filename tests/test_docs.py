"""The documentation's snippets compile, run, and are what the examples say; its links lead somewhere.

A comment on the line before a snippet says how it is to be taken:

- nothing: it is run, with all names of `voicews` and an unopened client `voice`;
- `<!-- server -->`: it is run in a process of its own, beside a server on port 8765;
- `<!-- example: FILE -->`: it stands in that file, word for word, where it is run as a test;
- `<!-- sketch -->`: it is only compiled.
"""

from __future__ import annotations

import contextlib
import re
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import voicews
import voicews.assistant
import voicews.audio
import voicews.commands
import voicews.dialects
import voicews.testing
from tests.examples.programs import VoiceServer, for_port, running
from voicews.audio import NullSink, SilenceSource

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*) -->\n)?^(?P<indent> *)```python\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")


@dataclass(frozen=True)
class Snippet:
    page: Path
    line: int
    mark: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def compiled(self) -> object:
        return compile("\n" * self.line + self.code, str(self.page), "exec")


def _snippets() -> list[Snippet]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start("code"))
            code = textwrap.dedent(match["code"])
            found.append(Snippet(page, line, match["mark"] or "", code))
    return found


SNIPPETS = _snippets()


def _marked(mark: str) -> pytest.MarkDecorator:
    chosen = [s for s in SNIPPETS if s.mark.split(":")[0] == mark]
    return pytest.mark.parametrize("snippet", chosen, ids=str)


def test_marks_are_known() -> None:
    assert {s.mark.split(":")[0] for s in SNIPPETS} <= {"", "server", "example", "sketch"}


@_marked("sketch")
def test_sketch_compiles(snippet: Snippet) -> None:
    snippet.compiled()


@_marked("")
def test_snippet_runs(snippet: Snippet) -> None:
    names = {name: getattr(voicews, name) for name in voicews.__all__}
    client = voicews.VoiceClient("ws://localhost:8765", microphone=SilenceSource(), speaker=NullSink())
    exec(snippet.compiled(), {"__name__": "snippet", "voice": client, **names})  # type: ignore[arg-type]


@_marked("server")
def test_snippet_runs_beside_a_server(snippet: Snippet, tmp_path: Path) -> None:
    script = tmp_path / "snippet.py"
    script.write_text(snippet.code, encoding="utf-8")
    other = tmp_path / "other"
    other.mkdir()
    with (
        contextlib.closing(VoiceServer(sound=1.5)) as server,
        running(for_port(script, server.port, other)) as program,
    ):
        _, errors = program.communicate(timeout=30)
    assert (program.returncode, errors) == (0, "")
    assert server.answered_at is not None
    assert time.monotonic() - server.answered_at >= 1.5, "it did not wait until its answer was heard"


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_snippet_prints_each_utterance_once_and_cuts_no_answer_off(snippet: Snippet) -> None:
    """What a reader copies: partial transcripts are not lines of their own, and an answer that has come
    (ResponseDone) is not one that has been heard."""
    if re.search(r"on\(Transcript|case Transcript", snippet.code) and "print" in snippet.code:
        assert "final" in snippet.code
    if "ResponseDone" in snippet.code:
        assert "play_out=True" in snippet.code or "NullSink" in snippet.code


@_marked("example")
def test_example_is_quoted_as_it_is(snippet: Snippet) -> None:
    path = ROOT / snippet.mark.split(": ")[1]
    assert snippet.code in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for match in _LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / match["path"]).resolve() if match["path"] else page
        assert target.exists(), match[0]
        if match["anchor"]:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert match["anchor"] in anchors, match[0]


def test_the_reference_knows_every_public_name() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = set(voicews.__all__) - {"VoiceClient"}
    for module in (voicews.assistant, voicews.audio, voicews.commands, voicews.dialects, voicews.testing):
        names |= set(module.__all__)
    names |= {name for name in vars(voicews.VoiceClient) if not name.startswith("_")}
    assert {
        name for name in names if not re.search(rf"`[^`\n]*\b{name}\b|^  +{name}\b", pages, re.MULTILINE)
    } == set()


@pytest.mark.parametrize("command", ["demo", "talk", "timeline", "serve", "devices", "bench"])
def test_the_guide_knows_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    from voicews.cli import main

    with pytest.raises(SystemExit):
        main([command, "--help"])
    page = (ROOT / "docs/guide/cli.md").read_text(encoding="utf-8")
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert {option for option in options if option not in page} == set()
