"""How long a test waits for a fact before it holds it to be missing.

``VOICEWS_TEST_PATIENCE=3`` in the environment stretches every such deadline, that of pytest-timeout
included, for a machine that is slow or busy.  A test passes no sooner and no later for it: it waits for
facts, not for time.
"""

from __future__ import annotations

import os

__all__ = ["PATIENCE", "STRETCH", "patient"]

STRETCH = float(os.environ.get("VOICEWS_TEST_PATIENCE", "1"))
"""The factor."""


def patient(seconds: float) -> float:
    """So many seconds, stretched."""
    return seconds * STRETCH


PATIENCE = patient(20.0)
"""Seconds after which a fact that should have come is held to be missing."""
