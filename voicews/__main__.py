"""``python -m voicews`` is the ``voicews`` command."""

import sys

if __name__ == "__main__":
    try:
        from voicews.cli import main

        code = main()
    except KeyboardInterrupt:  # so early that the command itself could not hear it
        code = 130
    sys.exit(code)
