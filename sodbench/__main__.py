"""``python -m sodbench``: the same as the ``sodbench`` command."""

from sodbench.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
