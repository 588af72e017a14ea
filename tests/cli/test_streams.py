"""Standard streams that are closed, full, unread or of another encoding; `-`; files that are kept."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.answering import tone
from tests.cli.test_recorded_speech import recording
from tests.peer import PATIENCE, Peer
from tests.timeline.recordings import Tape
from voicews.cli import main
from voicews.cli.files import require_apart
from voicews.cli.streams import json_for
from voicews.errors import ConfigError

FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEWS_AUDIO", "null")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


Started = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def started(unmeasured: None, tmp_path: Path) -> Started:
    """Run the command behind a shell's redirections."""
    del unmeasured

    def run(
        *arguments: str, redirect: str = "", stdin: bytes | None = None, **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [
                *("sh", "-c", f'exec "$@" {redirect}', "sh"),
                *(sys.executable, "-X", "dev", "-W", "error", "-m", "voicews", *arguments),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment},
            input=stdin or b"",
            capture_output=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    return run


def lines(err: bytes) -> list[str]:
    return err.decode().splitlines()


def commands(url: str, folder: Path) -> dict[str, list[str]]:
    """One of each, which all write to standard output; by the name that they have here."""
    kept = Tape(3.0)
    kept.turn(1, "One?", "One.")
    return {
        "help": ["bench", "--help"],
        "talk": ["talk", url, "--text", "Hm?", "--plain"],
        "json": ["talk", url, "--text", "Hm?", "--json"],
        "devices": ["devices", "--no-probe", "--json"],
        "timeline": ["timeline", str(kept.save(folder))],
        "serve": ["serve", "--port", "0", "--ears", "pocketsphinx", "--voice", "flite"],
        "bench": ["bench", url, "--seconds", "3", "--burst", "0"],
    }


COMMANDS = ("help", "talk", "json", "devices", "timeline", "bench")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("name", "unbuffered"), [*((name, "") for name in [*COMMANDS, "serve"]), ("help", "1"), ("json", "1")]
)
def test_full(started: Started, server: Peer, tmp_path: Path, name: str, unbuffered: str) -> None:
    asked = commands(server.url, tmp_path)[name]
    done = started(*asked, redirect=">/dev/full", PYTHONUNBUFFERED=unbuffered)
    told = [line for line in lines(done.stderr) if line != "loading the models…"]
    assert (done.returncode, told) == (
        1,
        ["voicews: cannot write to standard output: No space left on device"],
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_closed(started: Started, server: Peer, tmp_path: Path, name: str) -> None:
    done = started(*commands(server.url, tmp_path)[name], redirect="<&- >&-")
    assert (done.returncode, lines(done.stderr)) == (
        0,
        ["voicews: standard output is closed: nothing is shown"],
    )


@pytest.mark.parametrize("name", ["talk", "json", "devices"])
def test_all_three_closed(started: Started, server: Peer, tmp_path: Path, name: str) -> None:
    done = started(*commands(server.url, tmp_path)[name], redirect="<&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_an_error_that_nobody_can_read_goes_nowhere_else(started: Started, redirect: str) -> None:
    done = started("talk", "nonsense", redirect=redirect)
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")
    done = started("devices", "--no-probe", "-v", redirect=redirect)
    assert done.returncode == 0
    assert done.stdout


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_both_full(started: Started, server: Peer) -> None:
    for asked in (["devices", "--no-probe"], ["talk", server.url, "--text", "Hm?"], ["--help"]):
        done = started(*asked, redirect=">/dev/full 2>/dev/full")
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


@pytest.mark.parametrize("name", COMMANDS)
def test_unread(server: Peer, tmp_path: Path, name: str, unmeasured: None) -> None:
    del unmeasured
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as out:
        done = subprocess.run(
            [
                *(sys.executable, "-X", "dev", "-W", "error", "-m", "voicews"),
                *commands(server.url, tmp_path)[name],
            ],
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=2 * PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_what_is_opened_gets_no_standard_number() -> None:
    """Else a library's print to descriptor 2 would end up in the recording, or at the server."""
    code = (
        "import os, sys; from voicews.cli.streams import prepare; prepare(); "
        "sys.exit(0 if os.open(os.devnull, os.O_RDONLY) > 2 else 1)"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code],
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0


# -- encodings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "command"), [("latin-1", ""), ("ascii", "talk"), ("cp1252", "serve")])
def test_help_in_an_encoding_that_lacks_letters(started: Started, encoding: str, command: str) -> None:
    done = started(*command.split(), "--help", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "voicews ... | head" in done.stdout.decode(encoding).replace("…", "...")


@pytest.mark.parametrize("form", ["--json", "--plain"])
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C"},
    ],
    ids=["latin-1", "ASCII", "C"],
)
def test_a_conversation_in_it(started: Started, server: Peer, form: str, environment: dict[str, str]) -> None:
    done = started("talk", server.url, "--text", "Où… 🙂?", form, **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    (text,) = server.call().texts
    assert text["text"] == "Où… 🙂?"
    if form == "--json":
        (written,) = (line for line in done.stdout.splitlines() if b'"Written"' in line)
        assert json.loads(written)["text"] == "Où… 🙂?"
    else:
        assert done.stdout.splitlines()[1].startswith(b"you    O")


def test_json_is_escaped_only_where_it_has_to_be() -> None:
    text = '{"a": "é🙂"}'
    assert json_for(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), text) == text
    assert json_for(io.StringIO(), text) == text
    escaped = json_for(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"), text)
    assert escaped.isascii()
    assert json.loads(escaped) == json.loads(text)


def test_words_that_are_not_utf_8(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--text", "--set"):
        with pytest.raises(SystemExit) as ended:
            main(["talk", "ws://localhost", option, "name=caf\udce9"])
        assert ended.value.code == 2
        assert "not valid UTF-8" in capsys.readouterr().err


# -- standard input and output as files ---------------------------------------------------------------


def test_sound_from_standard_input_and_to_standard_output(
    started: Started, server: Peer, tmp_path: Path
) -> None:
    question = recording(tmp_path / "question.wav", bytes(6400) + tone(0.8)).read_bytes()
    done = started("talk", server.url, "--input", "-", "--output", "-", stdin=question)
    assert done.returncode == 0, done.stderr
    assert "voice  That was all." in lines(done.stderr)
    with wave.open(io.BytesIO(done.stdout)) as answer:
        assert answer.getnframes() / answer.getframerate() == pytest.approx(0.3, abs=0.01)


def test_words_from_standard_input(started: Started, server: Peer) -> None:
    done = started("talk", server.url, "--text", "-", "--json", stdin="Où?\n".encode())
    assert done.returncode == 0, done.stderr
    assert [text["text"] for text in server.call().texts] == ["Où?"]


def test_a_picture_on_standard_output(started: Started, tmp_path: Path) -> None:
    done = started("timeline", str(Tape(3.0).save(tmp_path)), "--output", "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"<?xml")
    assert done.stdout.rstrip().endswith(b"</svg>")


@pytest.mark.parametrize(
    ("options", "stdin", "code", "told"),
    [
        (["--input", "-"], b"no sound", 1, "standard input is no"),
        (["--input", "-"], b"", 1, "standard input is no"),
        (["--text", "-"], b" \n", 2, "must not be empty"),
        (["--text", "-"], b"\xff\xff", 2, "UTF-8"),
        (["--text", "Hm?", "--json", "--output", "-"], b"", 2, "--json and --output -"),
        (["--text", "Hm?", "--record", "-"], b"", 2, "--record needs a folder"),
        (["--text", "-", "--text", "-"], b"Hm?", 2, "only once"),
        (["--text", "-", "--input", "-"], b"Hm?", 2, "only once"),
        (["--text", ""], b"", 2, "must not be empty"),
        (["--text", "Hm?", "--text", " "], b"", 2, "must not be empty"),
    ],
)
def test_what_cannot_be_used_is_refused_before_connecting(
    started: Started, server: Peer, options: list[str], stdin: bytes, code: int, told: str
) -> None:
    done = started("talk", server.url, *options, stdin=stdin)
    (line,) = lines(done.stderr)
    assert (done.returncode, told in line) == (code, True), line
    assert not server.calls


@pytest.mark.parametrize("option", ["--input", "--text"])
def test_standard_input_that_is_closed(started: Started, server: Peer, option: str) -> None:
    done = started("talk", server.url, option, "-", redirect="<&-")
    assert (done.returncode, lines(done.stderr)) == (
        2,
        [f"voicews: {option} - reads standard input, which is closed"],
    )


# -- what is read is kept -----------------------------------------------------------------------------


def twins(path: Path) -> list[Path]:
    """Other names of a file."""
    folder = path.parent
    symbolic, hard, far = folder / "symbolic.wav", folder / "hard.wav", folder / "elsewhere"
    symbolic.symlink_to(path)
    hard.hardlink_to(path)
    far.symlink_to(folder, target_is_directory=True)
    return [path, symbolic, hard, folder / ".." / folder.name / path.name, far / path.name]


@pytest.mark.parametrize("option", ["--input", "--ca-file"])
def test_the_answers_never_overwrite_what_is_read(
    server: Peer, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    question = recording(tmp_path / "question.wav", tone(0.5))
    before = question.read_bytes()
    for twin in twins(question):
        asked = ["talk", server.url, "--text", "Hm?", option, str(question), "--output", str(twin)]
        assert main(asked) == 2
        assert f"would overwrite the file of {option}" in capsys.readouterr().err
    assert question.read_bytes() == before
    assert not server.calls


def test_neither_does_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = recording(tmp_path / "question.wav", tone(0.5))
    assert main(["demo", "--input", str(question), "--output", str(question)]) == 2
    assert "would overwrite the file of --input" in capsys.readouterr().err


def test_nor_what_is_being_recorded(server: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    for name in ("conversation-001.wav", "conversation-002.jsonl"):
        asked = ["talk", server.url, "--text", "Hm?", "--record", str(kept), "--output", str(kept / name)]
        assert main(asked) == 2
        assert "could overwrite the recording" in capsys.readouterr().err
    assert not kept.exists()


def test_nor_does_a_picture(server: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Tape(1.0).save(tmp_path)
    for number, read in enumerate((path, path.with_suffix(".jsonl"))):
        before = read.read_bytes()
        for how in ("symlink_to", "hardlink_to"):
            picture = tmp_path / f"{how}{number}.svg"
            getattr(picture, how)(read)
            assert main(["timeline", str(tmp_path), "--output", str(picture)]) == 2
            assert "would overwrite" in capsys.readouterr().err
        path.with_suffix(".svg").unlink(missing_ok=True)
        path.with_suffix(".svg").hardlink_to(read)
        assert main(["timeline", str(tmp_path)]) == 2  # the default is beside it
        assert read.read_bytes() == before
    assert main(["bench", server.url, "--ca-file", str(picture), "--plot", str(picture)]) == 2
    assert "--ca-file" in capsys.readouterr().err


def test_other_files_are_other_files(tmp_path: Path) -> None:
    require_apart("--output", tmp_path / "b.wav", {"--input": tmp_path / "a.wav", "--ca-file": None})
    require_apart("--output", None, {"--input": tmp_path / "a.wav"})
    with pytest.raises(ConfigError, match="--input"):  # neither is there yet
        require_apart("--output", tmp_path / "x" / ".." / "a.wav", {"--input": tmp_path / "a.wav"})
