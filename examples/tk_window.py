"""A window with a button to hold while you talk. Tk comes with Python (on Debian: python3-tk).

Callbacks run on a thread of voicews, and only the main thread may touch the window. So callbacks put what
they hear into a queue, and the window looks into it 20 times a second: neither ever waits for the other.
"""

import contextlib
import queue
import signal
import threading
import tkinter as tk

from voicews import ClientConfig, InvalidState, StateChanged, Transcript, VoiceClient, VoicewsError

inbox = queue.SimpleQueue()
voice = VoiceClient("ws://localhost:8765", config=ClientConfig(push_to_talk=True))
voice.on(StateChanged, inbox.put)
voice.on(Transcript, inbox.put)

window = tk.Tk()
status, button = tk.Label(window), tk.Button(window, text="Hold to talk")
words = tk.Text(window, width=60, height=12)
for part in (status, words, button):
    part.pack()


def look():
    while not inbox.empty():
        match inbox.get():
            case StateChanged(new=state):
                status["text"] = state.name
            case Transcript(role=role, text=text, final=True):
                words.insert("end", f"{role}: {text}\n")
                words.see("end")
            case VoicewsError() as error:
                status["text"] = str(error)
    window.after(50, look)


def hold(_):
    with contextlib.suppress(InvalidState):  # not connected yet, or no longer
        voice.start_talking()


def release(_):
    with contextlib.suppress(InvalidState):
        voice.stop_talking()


def converse():
    try:
        voice.run()
    except VoicewsError as error:
        inbox.put(error)


def leave():
    try:
        voice.close()  # waits for the callbacks, which wait for nobody
    finally:
        window.destroy()


button.bind("<ButtonPress>", hold)
button.bind("<ButtonRelease>", release)
window.protocol("WM_DELETE_WINDOW", leave)
signal.signal(signal.SIGINT, lambda *_: window.after(0, leave))
threading.Thread(target=converse, daemon=True).start()
look()
window.mainloop()
