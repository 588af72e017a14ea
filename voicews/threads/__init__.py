"""The threads of a running client, one file each.

=================== ==========================================================
``voicews-capture``    reads the microphone into the outbox
``voicews-sender``     outbox to socket, through the dialect's session
``voicews-receiver``   dials, then socket to playback buffer and events
``voicews-player``     playback buffer to loudspeaker
``voicews-callbacks``  events to the user's functions
``voicews-supervisor`` one mailbox: facts in, orders out
=================== ==========================================================

Others live only for a call that cannot be interrupted, so that it can be left behind:
``voicews-resolver`` (a name's look-up, in ``wire.py``) and ``voicews-speaker-quit`` (ends a
mixer whose device takes no sound, in ``audio/speaker.py``).
"""
