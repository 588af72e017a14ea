"""The command as a whole: help that fits, usage errors, warnings."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from voicews import BackendFallback, VoicewsError
from voicews.cli import main, serve

COMMANDS = ("demo", "talk", "timeline", "serve", "devices", "bench")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_and_exit_codes_and_fits_80_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "voicews talk" in out or "voicews serve" in out or "voicews demo" in out
    for code in ("0  ", "1  ", "2  ", "130", "141"):
        assert f"\n  {code}" in out


def test_every_option_in_the_guide_exists(capsys: pytest.CaptureFixture[str]) -> None:
    guide = (Path(__file__).parents[2] / "docs/guide/cli.md").read_text(encoding="utf-8")
    helps = ""
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        helps += capsys.readouterr().out
    wanted = {word.strip("`,|") for word in guide.split() if word.startswith("`--")}
    assert wanted
    assert {option for option in wanted if option not in helps} == set()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["talk", "ws://x", "--mic", "1", "--input", "a.wav"],
        ["talk", "ws://x", "--speaker", "1", "--output", "a.wav"],
        ["talk", "ws://x", "--json", "--plain"],
        ["talk", "ws://x", "--header", "nothing"],
        ["serve", "--port", "70000"],
        ["serve", "--ears", "big"],
        ["demo", "--turns", "many"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: voicews" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("voicews ")


def test_a_folder_that_was_never_installed_has_no_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib.metadata import PackageNotFoundError

    def missing(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr("voicews.cli.command.version", missing)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == "voicews unknown\n"


def test_python_m_voicews_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voicews", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("voicews ")


def test_help_loads_no_library_that_it_does_not_need() -> None:
    code = (
        "import sys, voicews.cli\n"
        "try: voicews.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*{'rich', 'numpy', 'pygame', 'pyaudio', 'websockets', 'ctranslate2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == ""


def test_warnings_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def warn(_: object) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning(BackendFallback("no device"), BackendFallback, "x.py", 1)
        return 0

    monkeypatch.setattr(serve, "run", warn)
    shown = warnings.showwarning
    assert main(["serve"]) == 0
    assert capsys.readouterr().err == "voicews: warning: no device\n"
    assert warnings.showwarning is shown


def test_an_error_of_any_kind_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise VoicewsError("it broke\nbadly")

    monkeypatch.setattr(serve, "run", fail)
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == "voicews: it broke badly\n"
