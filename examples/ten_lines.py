"""Talk with a voice server: the default microphone goes up, the answer comes out of the loudspeaker.

Start a server first, `voicews serve` say, then run this. Ctrl+C ends it.
"""

from voicews import Transcript, VoiceClient

voice = VoiceClient("ws://localhost:8765")  # the plain dialect; default microphone and loudspeaker


@voice.on(Transcript)
def show(line):
    if line.final:  # what comes before that is still being said
        print(f"{line.role}: {line.text}")


voice.run()  # until Ctrl+C; raises what went wrong
