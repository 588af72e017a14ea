"""Tests of voicews.audio that need no sound server."""
