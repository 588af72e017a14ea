"""Spoken conversations over one WebSocket, in threads."""
