"""The command ``kvirt``, also as ``python -m kvirt``."""

from __future__ import annotations

import gc


def entry() -> int:
    """Run the command line and return its exit code.

    Most commands are short, and most of what they allocate is code that stays: collecting garbage while it is loaded, and
    once more at the end, would take a sixth of the time of a list.
    """
    gc.set_threshold(100_000)
    from kvirt.cli.main import main
    code = main()
    gc.freeze()
    return code


if __name__ == '__main__':
    raise SystemExit(entry())
