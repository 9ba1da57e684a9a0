"""A fake whose VMs can be reached, as far as kvirt knows, and the command line with it in the catalog."""

from __future__ import annotations

import sys
from typing import Any

from kvirt.cli.main import main
from kvirt.providers import catalog, registry
from kvirt.providers.fake import Kfake


class Kreachable(Kfake):
    """The fake, whose VMs do not only exist on paper, and whose displays only their host can reach."""

    pretends = False
    host = 'gate.invalid'

    def _console(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super()._console(*args, **kwargs), 'tunnel': self.host}


if __name__ == '__main__':
    registry.CATALOG = (*catalog.CATALOG, catalog.Entry('reachable', '', 'tests.cli.reachable:Kreachable'))
    sys.exit(main())
