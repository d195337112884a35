"""`python -m nishimori.cli`."""

import sys

from nishimori.cli import main

if __name__ == "__main__":
    sys.exit(main())
