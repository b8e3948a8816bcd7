"""Runs the command as `python -m twisted_sock.cli`."""

import sys

from twisted_sock.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
