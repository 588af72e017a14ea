"""The documentation's snippets compile, run, and are what the examples say; its links lead somewhere.

What the pages for maintainers name is in the code, and each script says what it does.

A comment on the line before a snippet says how it is to be taken:

- nothing: it is run, with all names of `voicews` and an unopened client `voice`;
- `<!-- server -->`: it is run in a process of its own, beside a server on port 8765;
- `<!-- example: FILE -->`: it stands in that file, word for word, where it is run as a test;
- `<!-- sketch -->`: it is only compiled.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import shutil
import subprocess
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
CONTRIBUTING, SECURITY = ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"
PAGES = [ROOT / "README.md", CONTRIBUTING, SECURITY, *sorted((ROOT / "docs").rglob("*.md"))]
SCRIPTS = sorted((ROOT / "script").iterdir())
FOR_MAINTAINERS = [CONTRIBUTING, ROOT / "docs" / "architecture.md"]
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


def _names(page: Path) -> tuple[set[str], set[str]]:
    """The paths and the names of the code that stand in backticks; of commands in fences, the paths."""
    is_path = re.compile(
        r"[\w./-]*\w(?:/|\.(?:cfg|jsonl|md|py|toml|txt|yml))|(?:script|tests|voicews)/[\w/-]+"
    )
    is_name = re.compile(r"[A-Za-z_][\w.]*(?:\([\w=]*\))?")
    fences = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", fences.sub("", text))
    words = [word for span in [*spans, *fences.findall(text)] for word in re.split(r"[\s,;]+", span)]
    paths = {word for word in words if is_path.fullmatch(word)}
    code = {span for span in spans if is_name.fullmatch(span)} - paths
    return paths, {name for span in code for name in re.findall(r"\w+", span)}


@pytest.mark.parametrize("page", FOR_MAINTAINERS, ids=lambda page: page.name)
def test_the_paths_that_maintainers_are_told_exist(page: Path) -> None:
    """From the root, or beside a file that is named with its folder; NAME stands for any."""
    paths, _ = _names(page)
    folders = {ROOT, *((ROOT / path).parent for path in paths)}
    assert len(paths) > 30
    assert {path for path in paths if not any(_is_in(folder, path) for folder in folders)} == set()


def _is_in(folder: Path, path: str) -> bool:
    return any(folder.glob(path.replace("NAME", "*").rstrip("/")))


@functools.cache
def _known_names() -> set[str]:
    """The identifiers of the code, comments and prose left out, and the words of its settings and scripts."""
    known = {"NAME", "PATH"}
    for file in [*(ROOT / "voicews").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for field in ("id", "attr", "name", "arg", "value"):
                value = getattr(node, field, None)
                if isinstance(value, str) and value.isidentifier():
                    known.add(value)
    for file in (ROOT / "pyproject.toml", *SCRIPTS):
        known.update(re.findall(r"\w+", file.read_text(encoding="utf-8")))
    return known


@pytest.mark.parametrize("page", FOR_MAINTAINERS, ids=lambda page: page.name)
def test_the_names_that_maintainers_are_told_exist(page: Path) -> None:
    _, names = _names(page)
    assert len(names) > 30
    assert names - _known_names() == set()


def test_contributors_are_told_of_every_tier_and_mark() -> None:
    markers = (
        (ROOT / "pyproject.toml")
        .read_text(encoding="utf-8")
        .partition("\nmarkers = [")[2]
        .partition("\n]")[0]
    )
    marks = re.findall(r'^    "([\w()]+):', markers, re.MULTILINE)
    text = CONTRIBUTING.read_text(encoding="utf-8")
    assert {"unit", "soak", "keeps(reason)"} <= set(marks)
    assert [mark for mark in marks if f"| `{mark}` |" not in text] == []


def test_maintainers_are_told_of_every_thread() -> None:
    """Those of a client; the assistant, the command and the fakes have their own."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    started = set()
    for file in (ROOT / "voicews").rglob("*.py"):
        code = file.read_text(encoding="utf-8")
        if file.relative_to(ROOT / "voicews").parts[0] in ("assistant", "cli", "testing"):
            continue
        started |= set(re.findall(r'name="(voicews-[\w-]+)"', code))
        if "Worker" in code or "DeviceUser" in code:
            started |= {f"voicews-{name}" for name in re.findall(r'super\(\).__init__\("([a-z]+)"', code)}
    assert {"voicews-capture", "voicews-fetch", "voicews-resolver"} <= started
    assert {name for name in started if f"`{name}`" not in text} == set()


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


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_says_what_it_does_before_it_does_anything(script: Path, tmp_path: Path) -> None:
    """Those that hand all their arguments on hand ``--help`` on, too."""
    copy = shutil.copytree(script.parent, tmp_path / "script")
    if script.name != "bootstrap":
        (copy / "bootstrap").write_text("#!/bin/sh\nexit 99\n", encoding="ascii")
    code = script.read_text(encoding="utf-8")
    header = re.match(r"#!/usr/bin/env bash\n((?:#.*\n)+)set -euo pipefail\n", code)
    assert header is not None
    done = subprocess.run(
        [copy / script.name, "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    if re.search(r'^exec .* -m (?:benchmarks|voicews demo) "\$@"$', code, re.MULTILINE):
        assert done.returncode == 99
    else:
        told = re.sub(r"^# ?", "", header[1], flags=re.MULTILINE)
        assert (done.returncode, done.stdout, done.stderr) == (0, told, "")
