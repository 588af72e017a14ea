"""Hold first messages of calls to ElevenLabs' own model: messages in, complaints out."""

from __future__ import annotations

import json
import sys

from elevenlabs.types import ConversationInitiationClientDataRequestInput as First

complaints = []
for message in json.load(sys.stdin):
    given = {name: value for name, value in message.items() if name != "type"}
    try:
        # The model allows further fields, so what comes back is looked at.
        understood = First.model_validate(given)
    except ValueError as error:
        complaints.append(str(error))
        continue
    override = understood.conversation_config_override
    complaints += [
        f"{type(part).__name__} does not know {sorted(part.model_extra)}"
        for part in (understood, override, override.agent, override.tts, override.conversation)
        if part is not None and part.model_extra
    ]
print(json.dumps(complaints))
