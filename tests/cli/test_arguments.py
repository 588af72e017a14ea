"""How single values on the command line are read."""

from __future__ import annotations

import argparse
import logging

import pytest

from voicews.cli.arguments import count, device, header, log_level, port


def test_a_device_is_a_number_or_a_part_of_a_name() -> None:
    assert device("3") == 3
    assert device("USB 3") == "USB 3"
    assert device("-1") == "-1"


def test_counts_and_ports() -> None:
    assert count("0") == 0
    assert port("65535") == 65535
    for wrong in ("-1", "1.5", "", "x", "9999999"):
        with pytest.raises(argparse.ArgumentTypeError):
            count(wrong)
    with pytest.raises(argparse.ArgumentTypeError, match="65536"):
        port("65536")


def test_headers_and_their_secrets() -> None:
    assert header("Authorization: Bearer a:b") == ("Authorization", "Bearer a:b")
    for wrong in ("s3cret", ": s3cret", ""):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            header(wrong)
        assert "s3cret" not in str(caught.value)


def test_verbosity() -> None:
    assert log_level(1) == logging.INFO
    assert log_level(2) == logging.DEBUG
