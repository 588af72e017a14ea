"""The vendors' own threaded clients; each runs on the Python that ``script/interop`` has made for it."""
