"""``python -m kvirt`` is the command ``kvirt``."""

from kvirt.cli.main import main

if __name__ == '__main__':
    raise SystemExit(main())
