"""Side by side: voicews and what it is measured against.  `script/bench` runs it all; see README.md."""
