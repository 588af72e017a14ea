"""The picture of a recorded conversation, in which one sees why an answer came late.

It is drawn by ``voicews timeline``; matplotlib is imported where a picture is made, and nowhere else.
"""
