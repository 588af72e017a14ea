"""Clients of the same server, each in a process of its own: ours, and what it is compared with."""
