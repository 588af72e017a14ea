"""Without callbacks: pull what happens in a loop of your own, and stop when you have heard enough."""

from voicews import ResponseDone, Token, Transcript, VoiceClient

with VoiceClient("ws://localhost:8765") as voice, voice.events() as events:
    voice.send_text("What time is it?")
    for event in events:
        match event:
            case Transcript(role="user", text=text, final=True):
                print(f"you: {text}")
            case Token(text=piece):
                print(piece, end="", flush=True)
            case ResponseDone():
                print()
                break
    voice.close(play_out=True)  # all of the answer has come; this waits until it has been heard
