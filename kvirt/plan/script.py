"""The script beside a plan, which is run before it: it may make what the plan reads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvirt.plan.execute import Tell
from kvirt.plan.kinds.jobs import run
from kvirt.plan.locate import Source
from kvirt.plan.parameters import declared, values
from kvirt.plan.render import render
from kvirt.result import Result


def run_script(source: Source, given: Mapping[str, Any], context: Mapping[str, Any], tell: Tell) -> Result:
    """Expand the templates of the script of *source*, run it in the plan's folder, and return how that went.

    The caller has asked: it runs with the rights of the user.
    """
    assert source.script is not None
    known = values(declared(source), given)
    text = source.script.read_text(encoding='utf-8')
    expanded = render(replace(source, text=text, name=str(source.script), defaults=()), known, context).text
    with tempfile.TemporaryDirectory(prefix='kvirt-') as folder:
        script = Path(folder, source.script.name)
        script.write_text(expanded)
        return run(['bash', str(script)], tell, folder=source.folder)
