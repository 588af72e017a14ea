"""`voicews bench`, against servers that send sound back, change it, or do something else."""

from __future__ import annotations

import io
import json
import math
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.cli.answering import tone, until_hung_up
from tests.cli.conftest import Command
from tests.peer import Call, Peer, unused_port
from tests.proxies import running_proxy
from voicews.audio import Resampler
from voicews.cli import main
from voicews.cli.bench_plot import plot
from voicews.cli.bench_report import Spread, bars, report, to_json
from voicews.cli.bench_screen import BenchScreen
from voicews.cli.measurement import Measurement, Progress
from voicews.config import ClientConfig
from voicews.dialects import Plain
from voicews.errors import ConnectionClosed

SHORT = ("--seconds", "3", "--burst", "1")


@until_hung_up
def parrot(call: Call) -> None:
    for message in call.link:
        call.send(message)


def processing(call: Call) -> None:
    """Answers softer, at 24 kHz, in other pieces, and begins with a word about it."""
    call.send({"type": "ready", "sample_rate": 24000})
    converter, held = Resampler(16000, 24000), b""
    for message in call.link:
        assert isinstance(message, bytes)
        samples = np.frombuffer(message, "<i2") // 5
        held += converter.process(samples.astype("<i2").tobytes())
        while len(held) >= 1500:
            call.send(held[:1500])
            held = held[1500:]


@until_hung_up
def chatter(call: Call) -> None:
    """Answers everything with sound of its own."""
    for _ in call.link:
        call.send(tone(0.02))


def measured(url: str, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["bench", url, *SHORT, "--json", *options]) == 0
    out, err = capsys.readouterr()
    assert not err
    (line,) = out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_server_that_sends_sound_back(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = parrot
    found = measured(server.url, capsys)
    assert found["complete"]
    assert found["server"] == server.url
    assert found["connect"] > 0
    assert found["rtt"]["count"] == found["pings"] >= 10
    assert 0 < found["rtt"]["min"] <= found["rtt"]["median"] <= found["rtt"]["p95"] <= found["rtt"]["max"]
    assert found["echo"]["count"] == found["marks"] >= 2
    assert 0 < found["echo"]["min"] <= found["echo"]["max"] < 3
    assert found["up_bytes_per_second"] > 32000
    assert found["down_bytes_per_second"] > 0
    assert found["errors"] == []
    server.call().wait_until_over()
    assert server.call().close_code == 1000


def test_a_server_that_sends_it_back_changed(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = until_hung_up(processing)
    found = measured(server.url, capsys)
    assert found["echo"]["count"] == found["marks"] >= 2


def test_a_server_with_sound_of_its_own(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = chatter
    assert main(["bench", server.url, *SHORT]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert "not what it heard: it is no echo server" in out
    assert "echo of sound          0 of" in out


def test_a_server_that_says_nothing(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = None
    assert main(["bench", server.url, *SHORT]) == 0
    out = capsys.readouterr().out
    assert "it sent no sound: it is no echo server" in out
    assert "round trip of a ping" in out
    assert "throughput             up" in out
    assert "\x1b" not in out


def test_sound_is_sent_in_real_time_and_the_burst_is_as_long_as_it_was_wished(server: Peer) -> None:
    server.react = None
    assert main(["bench", server.url, "--seconds", "3", "--burst", "0", "--json"]) == 0
    server.call().wait_until_over()
    without = len(server.call().audio)
    assert main(["bench", server.url, "--seconds", "3", "--burst", "2", "--json"]) == 0
    server.call(2).wait_until_over()
    assert without <= 3 * 32000
    assert len(server.call(2).audio) >= 2 * 32000


def test_another_dialect_and_its_settings(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = parrot
    settings = ("--set", "input_format=8000", "--set", "output_format=8000")
    found = measured(server.url, capsys, "--dialect", "plain", *settings)
    assert found["echo"]["count"] == found["marks"] >= 2


def test_a_server_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 2
    assert "URL" in capsys.readouterr().err


def test_headers_reach_the_server_and_the_query_is_not_shown(
    server: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.react = parrot
    found = measured(f"{server.url}/talk?key=sesame", capsys, "--header", "X-Token: abc")
    assert found["server"] == f"{server.url}/talk"
    request = server.call().request
    assert request is not None
    assert request.headers["X-Token"] == "abc"
    assert request.path == "/talk?key=sesame"


def test_by_a_proxy(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.react = parrot
    with running_proxy("socks5h", login=("me", "it")) as asked:
        found = measured(server.url, capsys, "--proxy", f"socks5h://me:it@127.0.0.1:{asked.port}")
    assert found["rtt"]["count"] > 0
    assert len(asked.ways) == 1


@pytest.mark.keeps("matplotlib keeps its fonts open")
@pytest.mark.parametrize("ending", [".svg", ".png"])
def test_a_picture(ending: str, tmp_path: Path) -> None:
    progress = Progress(rtts=[(0.1, 0.002), (0.2, 0.003)], echoes=[(1.0, 0.2)], connect=0.1)
    for number, what in enumerate((progress, Progress())):
        file = tmp_path / f"{number}{ending}"
        plot(what, "ws://localhost", file)
        assert file.stat().st_size > 1000
        assert file.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")


@pytest.mark.keeps("matplotlib keeps its fonts open")
def test_the_picture_of_a_measurement(server: Peer, tmp_path: Path) -> None:
    server.react = parrot
    assert main(["bench", server.url, *SHORT, "--plot", str(tmp_path / "line.svg")]) == 0
    assert "<svg" in (tmp_path / "line.svg").read_text(encoding="utf-8")


# -- failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "hint", "code"),
    [
        (["--plot", "line.bmp"], ".svg", 2),
        (["--plot", "-"], ".svg", 2),
        (["--plot", "no/such/folder/line.svg"], "folder", 1),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_before_the_measurement(
    server: Peer, options: list[str], hint: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", server.url, *options]) == code
    assert hint in capsys.readouterr().err
    assert server.calls == []


@pytest.mark.parametrize(
    "options", [["--seconds", "1"], ["--seconds", "121"], ["--seconds", "ten"], ["--burst", "31"]]
)
def test_wrong_numbers(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "ws://localhost", *options])
    assert ended.value.code == 2
    assert "is not a number of seconds from" in capsys.readouterr().err


def test_a_wrong_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "http://localhost"]) == 2
    assert "ws://" in capsys.readouterr().err


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", f"ws://127.0.0.1:{unused_port()}"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert "`voicews serve` starts one" in err


def test_a_token_that_is_wrong(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    server.refuse_with = 401
    assert main(["bench", server.url]) == 1
    assert "--header" in capsys.readouterr().err


def test_a_connection_that_is_lost(server: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    def lose(call: Call) -> None:
        for number, _ in enumerate(call.link):
            if number == 20:
                call.cut()
                return

    server.react = until_hung_up(lose)
    assert main(["bench", server.url, *SHORT, "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert not found["complete"]
    assert found["rtt"]["count"] > 0
    assert "without a Close frame" in err


def test_what_was_measured_is_there_after_a_loss(server: Peer) -> None:
    server.react = lambda call: call.close(1011, "enough")
    measurement = Measurement(Plain(server.url), seconds=3, burst=0, way=ClientConfig())
    with pytest.raises(ConnectionClosed, match="enough"):
        measurement.run(lambda: None)
    assert measurement.progress.connect is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_tells_what_was_measured(
    server: Peer, command: Callable[..., Command], number: signal.Signals
) -> None:
    server.react = None
    running = command("bench", server.url, "--seconds", "60", "--json")
    server.call().wait_for_audio(10 * 640)  # of these, all but the last have been counted
    running.process.send_signal(number)
    code, out, err = running.end()
    assert (code, err) == (128 + number, "")
    found = json.loads(out)
    assert not found["complete"]
    assert found["sound_sent"] > 0
    server.call().wait_until_over()
    assert server.call().close_code == 1000


# -- the report -----------------------------------------------------------------------------------------


def test_a_spread() -> None:
    spread = Spread.of([(0.0, 0.010), (0.1, 0.030), (0.2, 0.020)])
    assert spread is not None
    assert (spread.count, spread.min, spread.median, spread.max) == (3, 0.010, 0.020, 0.030)
    assert spread.jitter == pytest.approx(0.015)
    assert Spread.of([]) is None
    assert Spread.of([(0.0, 0.5)]) == Spread(1, 0.5, 0.5, 0.5, 0.5, 0.0)


@pytest.mark.parametrize(
    "values",
    [
        [0.01],
        [0.01] * 50,
        [n / 1000 for n in range(1, 100)],
        [0.0201, 0.0202, 0.0203, 5.0],
        [*[0.02 + n / 1e5 for n in range(200)], 1.0, 2.0],
        [1e-6, 2e-6],
    ],
)
def test_each_value_is_in_one_row(values: list[float]) -> None:
    rows = bars(values)
    assert sum(count for *_, count in rows) == len(values)
    assert 1 <= len(rows) <= 9
    for low, high, count in rows:
        assert count == sum(low - 1e-9 <= value < high - 1e-9 for value in values)
    assert all(not math.isinf(high) for _, high, _ in rows[:-1])
    assert bars([]) == []


def test_errors_of_the_server_are_told() -> None:
    progress = Progress(connect=0.01, phase="done", complaints=["42: no credit"])
    assert "the server reports an error: 42: no credit" in report(progress, "ws://x")
    assert json.loads(to_json(progress, "ws://x"))["errors"] == ["42: no credit"]


def test_a_server_without_pongs_is_told() -> None:
    lines = report(Progress(connect=0.01, phase="done", pings=30), "ws://x")
    assert "  not measured: the server answers no pings" in lines
    assert "throughput             not measured" in lines


def test_the_screen_shows_the_report_and_how_far_it_is() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=40, color_system=None)
    progress = Progress(phase="pings and sound", share=0.5, connect=0.01, pings=3, rtts=[(0.1, 0.002)])
    with BenchScreen(progress, "ws://x", console) as screen:
        screen.draw()
        shown = out.getvalue()
        assert "pings and sound" in shown
        assert "median 2.0 ms" in shown
        assert "Ctrl+C ends it" in shown
        progress.phase, progress.up, progress.bytes_per_second = "done", 64000.0, 32000
    last = out.getvalue().removeprefix(shown)
    assert "up 0.5 Mbit/s (2 x real time)" in last
    assert "Ctrl+C ends it" not in last


def test_how_far_it_is_can_be_seen_on_a_terminal_of_any_size() -> None:
    points = [(n / 10, n / 100) for n in range(1, 80)]
    progress = Progress(phase="pings and sound", share=0.5, connect=0.01, pings=80, rtts=points, marks=80)
    progress.echoes = points
    for width in range(20, 201, 6):
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=width, height=20, color_system=None)
        with BenchScreen(progress, "ws://x", console) as screen:
            screen.draw()
            lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).splitlines()
        assert any(line.startswith("pings and sound") for line in lines), width
        assert max(map(len, lines)) <= width
