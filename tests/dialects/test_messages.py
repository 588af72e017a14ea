"""Reading what cannot be trusted."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicews.dialects.messages import (
    Complaints,
    arguments_of,
    base64_of,
    clean,
    error_of,
    items_of,
    merged,
    number_of,
    object_of,
    parsed,
    text_of,
    written,
)
from voicews.events import Message, ServerError


def test_messages_are_compact_ascii() -> None:
    assert written({"a": 1, "b": "\ud800\N{SNOWMAN}"}) == '{"a":1,"b":"\\ud800\\u2603"}'


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ('{"a": 1}', {"a": 1}),
        (b'{"a": 1}', {"a": 1}),
        ("7", 7),
        ("words", "words"),
        (b"\xff\0", b"\xff\0"),
        ("NaN", "NaN"),
        ("[" * 100_000, "[" * 100_000),
        ("9" * 10_000, "9" * 10_000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_json_stays_what_it_is(message: str | bytes, data: Any) -> None:
    assert parsed(message) == data


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert clean("a\ud800b") == "a\ufffdb"


DATA: dict[str, Any] = {
    "text": "a\ud800",
    "whole": 7,
    "real": 0.5,
    "true": True,
    "null": None,
    "huge": 10**400,
    "infinite": float("inf"),
    "object": {"a": 1},
    "list": [{"a": 1}, 2, {"b": 3}],
}


def test_fields_of_the_right_kind() -> None:
    assert text_of(DATA, "text") == "a\ufffd"
    assert number_of(DATA, "whole") == 7.0
    assert number_of(DATA, "real") == 0.5
    assert object_of(DATA, "object") == {"a": 1}
    assert items_of(DATA, "list") == [{"a": 1}, {"b": 3}]


@pytest.mark.parametrize("key", [*DATA, "missing"])
def test_fields_of_another_kind_are_missing(key: str) -> None:
    assert key == "text" or text_of(DATA, key) is None
    assert key in ("whole", "real") or number_of(DATA, key) is None
    assert key == "object" or object_of(DATA, key) == {}
    assert key == "list" or items_of(DATA, key) == []


def test_not_a_number_is_none() -> None:
    assert number_of({"a": float("nan")}, "a") is None


def test_settings_are_merged_object_by_object() -> None:
    settings = {"a": {"b": 1, "c": [1]}, "d": 1}
    further = {"a": {"c": [2], "e": {}}, "d": {"f": 1}}
    assert merged(settings, further) == {"a": {"b": 1, "c": [2], "e": {}}, "d": {"f": 1}}
    assert settings == {"a": {"b": 1, "c": [1]}, "d": 1}


@given(st.binary(max_size=40), st.booleans(), st.booleans(), st.sampled_from(["", "\n", "\r\n", "\t"]))
def test_base64_however_it_is_written(data: bytes, urlsafe: bool, padded: bool, between: str) -> None:
    text = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(data).decode()
    text = between.join(re.findall(".{1,7}", text if padded else text.rstrip("="))) + between
    assert base64_of(text) == data or not data


@pytest.mark.parametrize(
    "text", ["A", "A===", "====", "AA=A", "AA*A", "no base64", "\xe9", "\ud800", "AAAAA", "\n"]
)
def test_what_is_not_base64(text: str) -> None:
    assert base64_of(text) is None


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        (None, {}),
        ("", {}),
        ("null", {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ("[]", None),
        ("{", None),
        ([], None),
        (7, None),
        (False, None),
    ],
)
def test_arguments_of_a_call(value: Any, arguments: Any) -> None:
    assert arguments_of(value) == arguments


def test_an_error_may_be_mere_text() -> None:
    assert error_of({"error": "no\ud800"}, "error") == {"message": "no\ufffd"}
    assert error_of({"error": {"code": 7}}, "error") == {"code": 7}
    assert error_of({"error": 7}, "error") == error_of({}, "error") == {}


def test_complaints_are_made_once() -> None:
    complaints = Complaints()
    assert complaints.about(1, "no") == [Message(1), ServerError("no", "invalid_message")]
    assert complaints.about(2, "no") == [Message(2)]
    told = [complaints.about(n, str(n)) for n in range(1000)]
    assert sum(len(events) == 2 for events in told) < 100
