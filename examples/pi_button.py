"""Push to talk on a Raspberry Pi: a button on GPIO 17, an LED on GPIO 27.

Hold the button while you speak. The LED blinks while an answer is heard. Made to run unattended: it
waits for the server, at the start too, for as long as it takes.
"""

from gpiozero import LED, Button

from voicews import (
    Backoff,
    ClientConfig,
    Connected,
    Interrupted,
    PlaybackFinished,
    PlaybackStarted,
    Reconnecting,
    Transcript,
    VoiceClient,
)

button, led = Button(17), LED(27)
voice = VoiceClient(
    "ws://localhost:8765",
    config=ClientConfig(push_to_talk=True, backoff=Backoff(max_attempts=None)),
)


@voice.on(Transcript)
def show(line):
    if line.final:
        print(f"{line.role}: {line.text}")


@voice.on(Reconnecting)
def tell(lost):
    print(f"link lost ({lost.error}); attempt {lost.attempt} in {lost.delay:.1f} s")


@voice.once(Connected)
def greet():
    voice.send_text("Greet the visitor.")
    button.when_pressed, button.when_released = voice.start_talking, voice.stop_talking


voice.on(PlaybackStarted, led.blink)  # a callable that takes nothing is called with nothing
voice.on(PlaybackFinished, led.off)
voice.on(Interrupted, led.off)  # then nothing is played to its end

voice.run()  # until Ctrl+C
