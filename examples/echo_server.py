"""The smallest voice server that voicews can talk to: it says back what it hears.

Sound comes as binary messages of 16-bit PCM and goes out the same way; words are JSON. Use headphones, or
the microphone hears the echo. Ctrl+C ends it.
"""

import contextlib
import json
import logging

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve


def talk(client: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):  # the client has left
        for message in client:
            if isinstance(message, bytes):
                if any(message):  # a client that is muted sends zeros: that is nothing to say back
                    client.send(message)
                continue
            said = json.loads(message)
            if said.get("type") == "text":
                client.send(json.dumps({"type": "response_started"}))
                client.send(json.dumps({"type": "token", "text": f"You wrote: {said['text']}"}))
                client.send(json.dumps({"type": "response_done"}))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    with serve(talk, "localhost", 8765) as server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
