"""Tests with real PortAudio and SDL on virtual sound devices."""
