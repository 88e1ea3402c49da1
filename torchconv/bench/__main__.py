"""Makes ``python -m torchconv.bench`` run."""

import sys

from torchconv.bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
