"""``python -m aflow_verl`` is the command ``aflow-verl``."""

from aflow_verl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
