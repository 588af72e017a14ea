"""The checks bite: a client that is made to break a promise is found out, and for that promise."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.faults import invariants, matrix
from tests.faults.ledger import ListeningSpeaker
from tests.faults.matrix import Fails, Fault, Recovers, Row
from tests.faults.trial import Trial
from voicews import Buffers, Disconnected, Event, Reconnecting, TlsFailed
from voicews.testing import steps
from voicews.threads.callbacks import Callbacks
from voicews.threads.sender import Sender
from voicews.threads.supervisor import Supervisor
from voicews.transport import Transport


def until_lost(trial: Trial) -> None:
    trial.wait_for(Reconnecting)
    trial.heal()


SWALLOWS = Fault(
    "a server that freezes",
    until_lost,
    scripts=lambda trial: [trial.serve_then(steps.stall()), trial.serve],
)
CUTS = Fault(
    "a server that cuts",
    until_lost,
    scripts=lambda trial: [trial.serve_then(steps.cut()), trial.serve],
)


def broken(fault: Fault) -> dict[str, str]:
    with Trial(fault) as trial:
        trial.run()
    return dict(invariants.check(trial, "").broken)


def test_a_good_client_breaks_nothing() -> None:
    assert broken(SWALLOWS) == {}


def test_who_does_not_tell_of_lost_words_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_quiet(self: Supervisor, commands: Iterable[Any], *, sent: bool) -> None:
        assert self.is_alive()

    monkeypatch.setattr(Supervisor, "_tell_undelivered", keep_quiet)
    assert "nobody was told" in broken(SWALLOWS)["messages"]


def test_who_says_something_twice_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Transport.send

    def stammer(self: Transport, message: str | bytes) -> None:
        send(self, message)
        if message == '{"type":"text","text":"word 3"}':
            send(self, message)

    monkeypatch.setattr(Transport, "send", stammer)
    assert broken(CUTS)["messages"] == "'word 3' arrived 2 times"


def test_who_conceals_a_drop_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    emit = Callbacks.emit

    def conceal(self: Callbacks, event: Event) -> None:
        if not isinstance(event, Disconnected):
            emit(self, event)

    monkeypatch.setattr(Callbacks, "emit", conceal)
    assert "was told before the end of 1" in broken(CUTS)["truth"]


def test_another_end_than_the_expected_is_found_out() -> None:
    fault = Fault("401", Trial.open, Fails(TlsFailed), lambda trial: [steps.refuse(401)], opens=False)
    assert "not TlsFailed" in broken(fault)["truth"]


def test_old_sound_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    init = Sender.__init__

    def hoard(self: Sender, *args: Any, **options: Any) -> None:
        init(self, *args, **{**options, "max_audio_age": 60.0})

    def refused(trial: Trial) -> None:
        trial.wait_for(Reconnecting, 4)
        trial.heal()

    fault = Fault(
        "refused for long",
        refused,
        scripts=lambda trial: [
            trial.serve_then(steps.cut()),
            *[[steps.wait(0.9), steps.cut()]] * 3,
            trial.serve,
        ],
        config={"buffers": Buffers(outbox=10.0, max_audio_age=1.0, playback=5.0)},
    )
    monkeypatch.setattr(Sender, "__init__", hoard)
    assert "s old when it arrived" in broken(fault)["audio"]


def test_slow_recovery_is_found_out() -> None:
    fault = Fault("cut", until_lost, Recovers(within=0.0), CUTS.scripts)
    assert "after the fault was over" in broken(fault)["audio"]


def test_sound_of_the_past_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    write = ListeningSpeaker.write

    def mix(self: ListeningSpeaker, pcm: bytes) -> None:
        write(self, pcm)
        if int.from_bytes(pcm[:2], "little") == 2:
            write(self, b"\x01\x00" * (len(pcm) // 2))

    monkeypatch.setattr(ListeningSpeaker, "write", mix)
    assert broken(CUTS)["hush"] == "sound of connection 1 was heard after that of 2"


def test_a_device_that_is_kept_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListeningSpeaker, "close", lambda self: None)
    assert "was opened 1 times, closed 0" in broken(CUTS)["ends"]


def test_too_full_a_memory_is_found_out() -> None:
    hoard: list[bytes] = []

    def fill(trial: Trial) -> None:
        hoard.append(b"x" * (invariants.GROWTH + (8 << 20)))
        until_lost(trial)

    assert "the process grew by" in broken(Fault("a hoard", fill, scripts=CUTS.scripts))["memory"]


def test_a_connection_that_is_left_open_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    close = Transport.close

    def keep(self: Transport, *, forget: bool = False) -> None:
        if self.generation == 1:
            kept.append(self)
        else:
            close(self, forget=forget)

    monkeypatch.setattr(Transport, "close", keep)
    try:
        assert "descriptor" in broken(CUTS)["ends"]
    finally:
        for transport in kept:
            close(transport)


# -- the table ----------------------------------------------------------------------------------------


def test_the_table_tells_what_held_and_what_did_not(tmp_path: Path) -> None:
    rows = [
        Row("Servers", "cut", "goes on", 0.12, {}),
        Row("Servers", "killed", "goes on", None, {"hush": "old sound"}),
        Row("Packets", "lost", "", None, {}, skipped="it needs root"),
    ]
    lines = matrix.in_text(rows)
    assert lines[-1] == "2 faults tried, 1 survived with all 6 invariants"
    assert "killed: hush: old sound" in lines
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{matrix.BEGIN}\nold\n{matrix.END}\n\nmore\n", encoding="utf-8")
    for _ in range(2):
        matrix.write_page(rows, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\n{matrix.BEGIN}\n\n### Servers\n\n| fault | outcome |")
    assert "| cut | goes on | 0.1 s | yes | yes | yes | yes | yes | yes |" in text
    assert "- killed: *hush* does not hold: old sound" in text
    assert "| lost | not tried: it needs root |" in text
    assert text.endswith(f"{matrix.END}\n\nmore\n")
    assert "old\n" not in text.replace("old sound\n", "")
    matrix.write_page([Row("Servers", "killed", "goes on", 0.3, {})], page)
    again = page.read_text(encoding="utf-8")
    assert "| killed | goes on | 0.3 s | yes" in again
    assert "| cut |" not in again
    assert again.partition("### Packets")[2] == text.partition("### Packets")[2], "it was not tried again"
