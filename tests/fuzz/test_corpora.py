"""What the fuzzer has found is tried again by each test run, and random bytes besides."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CORPORA, TARGETS, corpus, from_line, to_line

FOUND = {
    "elevenlabs_agent: an unhashable type after a pause": (
        "elevenlabs_agent",
        (
            b'{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":{}}\n'
            b'{"type":"agent_response","agent_response_event":{"agent_response":"Hi"}}\n'
            b"!,\n!,\n!,\n!,\n!,\n!,\n!,\n!,\n!,\n!,\n"
            b'{"type":{"code":101}}'
        ),
    ),
}
"""What once broke a promise."""


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name: str) -> None:
    """Each input on its own, so that a failure names it."""
    target = TARGETS[name]
    for data in [*target.seeds(), *corpus(name)]:
        try:
            target.run(data)
        except Exception as error:
            raise AssertionError(f"{name}: {to_line(data)}") from error


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found(what: str) -> None:
    name, data = FOUND[what]
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_every_corpus_adds_to_the_seeds(name: str) -> None:
    """Not empty, not large, and with nothing in it twice."""
    inputs = corpus(name)
    assert 10 <= len(inputs) == len(set(inputs))
    assert sum(map(len, inputs)) < 100_000


def test_no_corpus_is_left_over() -> None:
    assert {file.stem for file in CORPORA.glob("*.txt")} == set(TARGETS)


@given(st.binary())
def test_lines_are_the_inputs(data: bytes) -> None:
    line = to_line(data)
    assert from_line(line) == data
    assert line.isascii()
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_parts_of_it_in_any_order(name: str, data: st.DataObject) -> None:
    """Inputs cut up and put together anew, with bytes changed: what no fuzzer is needed for."""
    target = TARGETS[name]
    known = [part for seed in target.seeds() for part in seed.split(b"\n")]
    part = (
        st.sampled_from(known)
        | st.binary(max_size=200)
        | st.sampled_from([b"!;", b"!.", b"!,", b"!i", b"!x"])
    )
    pieces = data.draw(st.lists(part, max_size=8))
    whole = bytearray(b"\n".join(pieces))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4)):
        if whole:
            whole[at % len(whole)] = byte
    target.run(bytes(whole))
