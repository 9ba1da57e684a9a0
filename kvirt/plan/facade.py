"""Plans for scripts: the part of :class:`kvirt.config.Kconfig` that opens them, carries them out, and deletes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvirt.errors import InvalidInput, KvirtError, NotFound, Problem
from kvirt.names import safe_name
from kvirt.result import Result
from kvirt.settings import Client, Settings

if TYPE_CHECKING:
    from kvirt.plan.engine import Plan
    from kvirt.plan.events import Sink
    from kvirt.plan.locate import Source


class Plans:
    """Plans of a client."""

    settings: Settings
    client: str
    _section: Client

    def context(self) -> dict[str, Any]:
        """Return what the templates of plans may know of the client."""
        raise NotImplementedError

    @property
    def keeps_networks(self) -> bool:
        """Tell if the configuration wants networks to outlive their plans."""
        return bool({**self.settings.defaults, **self._section.values}.get('keep_networks'))

    @property
    def dnsclient(self) -> str | None:
        """The client that the configuration lets record the names of VMs, None when there is none."""
        return {**self.settings.defaults, **self._section.values}.get('dnsclient')

    @property
    def _me(self) -> Any:
        """This object with all its parts."""
        return self

    def open_plan(self, plan: str | None = None, inputfile: str | Path | Sequence[str | Path] | None = None, *,
                  inputstring: str | None = None, overrides: Mapping[str, Any] | None = None, stdin: str | None = None,
                  trust: bool = False, pre: bool = True, compat: bool = False,
                  tell: Callable[[str], None] = lambda line: None) -> Plan:
        """Return the plan in *inputfile* (a file, folder, URL, or ``-`` for *stdin*), or *inputstring* itself, checked.

        Several files make up one plan. Without any, it is the plan of the current folder. *plan* is its name, that of the
        (first) folder or file when absent. *compat* turns what kcli passed over in silence into warnings.
        *overrides* set its parameters. A plan with a script is refused unless *trust*, which runs it, or *pre* is false,
        which leaves it out; *trust* also lets a plan from elsewhere run commands here. InvalidInput names every fault
        with file and line; nothing is connected to.
        """
        from kvirt.plan.engine import Plan
        from kvirt.plan.locate import locate, name_of
        files: list[str | Path | None] = [None]
        if inputfile:
            files = [inputfile] if isinstance(inputfile, (str, Path)) else list(inputfile)
        sources = [locate(file, text=inputstring, plan=plan, stdin=stdin) for file in files]
        name = safe_name('plan', plan or name_of(sources[0]))
        given = dict(overrides or {})
        if given.pop('pre', pre):
            for source in sources:
                self._run_script(source, given, name, trust, tell)
        section = {**self.settings.defaults, **self._section.values}
        return Plan.of([replace(source, compat=source.compat or compat) for source in sources], name, self._me, given,
                       rules=section.get('vmrules'), trust=trust)

    def _run_script(self, source: Source, given: Mapping[str, Any], name: str, trust: bool,
                    tell: Callable[[str], None]) -> None:
        """Run the script beside a plan, if there is one. InvalidInput unless it is trusted."""
        if not source.script:
            return
        if not trust:
            raise InvalidInput(Problem('this script would be run on this machine before the plan', str(source.script)),
                               hint='Read it, and trust the plan; or leave it out with -P pre=false')
        from kvirt.plan.script import run_script
        run_script(source, given, {'plan': name, **self.context()}, tell).expect()

    def plan(self, plan: str, inputfile: str | Path | Sequence[str | Path] | None = None, inputstring: str | None = None,
             overrides: Mapping[str, Any] | None = None, url: str | None = None, update: bool = False, parallel: int = 10,
             sink: Sink | None = None, trust: bool = False, pre: bool = True, prune: bool = False,
             compat: bool = False) -> Result:
        """Carry out a plan: make what is not there; with *update* also change what differs, with *prune* delete what it
        made and no longer names.

        The outcome has ``newvms existingvms failedvms``, lists of names, and ``reason`` where something failed. *sink* is
        told each event; see :mod:`kvirt.plan.events`.
        """
        from kvirt.plan.engine import silent
        try:
            opened = self.open_plan(plan, url or inputfile, inputstring=inputstring, overrides=overrides, trust=trust,
                                    pre=pre, compat=compat)
            told = sink or silent
            summary = (opened.update(opened.diff(prune=prune), told, parallel=parallel) if update
                       else opened.create(told, parallel=parallel, prune=prune))
        except KvirtError as error:
            return Result.failure(error, plan=plan, newvms=[], existingvms=[], failedvms=[])
        return summary.result(plan)

    def delete_plan(self, plan: str, *, parallel: int = 10, sink: Sink | None = None) -> Result:
        """Delete the VMs and networks of a plan, and the key pair that its VMs shared.

        The outcome has ``deletedvms``. NotFound when there are none.
        """
        from kvirt.plan import found
        from kvirt.plan.engine import silent
        try:
            things = found.removable(plan, [self._me])
            if not things:
                raise NotFound(f'there is nothing of plan {plan} on client {self.client}')
        except KvirtError as error:
            return Result.failure(error, plan=plan, deletedvms=[])
        summary = found.delete(plan, things, sink or silent, parallel=parallel)
        gone = [name for kind, name in summary.done if kind == 'vm']
        return Result({**summary.result(plan), 'deletedvms': gone})
