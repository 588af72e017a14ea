"""``python -m voicews`` is the ``voicews`` command."""

import sys

from voicews.cli import main

if __name__ == "__main__":
    sys.exit(main())
