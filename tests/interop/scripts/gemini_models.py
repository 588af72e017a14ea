"""Hold messages to Google's own models: ``{"client": [...], "server": [...]}`` in, complaints out.

The models forbid unknown fields.  That of the setup lacks ``realtimeInputConfig``, which Google's
client sends in it all the same; it is held to its own model.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from google.genai import types


def complaint(side: str, message: dict[str, Any]) -> str | None:
    checked = json.loads(json.dumps(message))
    config = checked.get("setup", {}).pop("realtimeInputConfig", None) if side == "client" else None
    model = types.LiveClientMessage if side == "client" else types.LiveServerMessage
    try:
        model.model_validate(checked)
        if config is not None:
            types.RealtimeInputConfig.model_validate(config)
    except ValueError as error:
        return f"{side} {json.dumps(message)[:200]}: {error}"
    return None


given = json.load(sys.stdin)
print(json.dumps([found for side in given for message in given[side] if (found := complaint(side, message))]))
