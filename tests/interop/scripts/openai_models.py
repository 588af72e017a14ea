"""Hold messages to OpenAI's own models: ``{"client": […], "server": […], "beta": bool}`` in, complaints out.

The models let unknown fields pass, so these are looked for here: they are complaints too.
"""

from __future__ import annotations

import json
import sys

from openai.types import realtime as ga
from openai.types.beta import realtime as beta
from pydantic import BaseModel, TypeAdapter


def unknown_fields(value: object, place: str) -> list[str]:
    if isinstance(value, BaseModel):
        found = [f"{place}.{name}" for name in (value.model_extra or {})]
        for name in value.model_fields_set - set(value.model_extra or {}):
            found += unknown_fields(getattr(value, name), f"{place}.{name}")
        return found
    if isinstance(value, list):
        return [found for item in value for found in unknown_fields(item, f"{place}[]")]
    return []


given = json.load(sys.stdin)
models = beta if given.get("beta") else ga
complaints = []
for side, model in (("client", models.RealtimeClientEvent), ("server", models.RealtimeServerEvent)):
    adapter = TypeAdapter(model)
    for message in given.get(side, []):
        kind = message.get("type")
        try:
            understood = adapter.validate_python(message, strict=True)
        except ValueError as error:
            complaints.append(f"{side} {kind}: {error}")
            continue
        if getattr(understood, "type", None) != kind:
            complaints.append(f"{side} {kind}: understood as {type(understood).__name__}")
        complaints += [f"{side} {kind}: unknown {name}" for name in unknown_fields(understood, kind or "")]
print(json.dumps({"complaints": sorted(set(complaints))}))
