"""Hold messages to Deepgram's own models: ``{"listen": [...], "agent": [...]}`` in, complaints out.

Also tells the names of all parameters that the address of a transcription may have.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import deepgram.agent.v1.types as agent
import deepgram.listen.v1.types as listen
from deepgram.listen.v1.client import V1Client

IRREGULAR = {"FunctionCallResponse": "SendFunctionCallResponse"}


def complaint(service: str, message: dict[str, Any]) -> str | None:
    kind = message.get("type", "")
    models, prefix = (listen, "ListenV1") if service == "listen" else (agent, "AgentV1")
    model = getattr(models, prefix + IRREGULAR.get(kind, kind), None)
    if model is None:
        return f"{service}: no model is called {prefix}{kind}"
    try:
        # The models allow further fields and wrong literals in unions, so what comes back is compared.
        understood = model.model_validate(message).model_dump(mode="json", exclude_unset=True)
    except ValueError as error:
        return f"{service} {kind}: {error}"
    return None if understood == message else f"{service} {kind}: {message} was understood as {understood}"


given = json.load(sys.stdin)
print(
    json.dumps(
        {
            "complaints": [
                found
                for service, messages in given.items()
                for message in messages
                if (found := complaint(service, message))
            ],
            "parameters": sorted(inspect.signature(V1Client.connect).parameters),
        }
    )
)
