"""Ansible's plugin: the VMs of kvirt's clients as an inventory. What it tells is made in kvirt.inventory."""

from __future__ import annotations

DOCUMENTATION = """
name: kvirt
short_description: VMs of kvirt's clients
description:
  - Lists the VMs of one or several clients of kvirt, with how each is reached by ssh, and what is known of it.
  - The configuration is kvirt's own, of the folder C(KVIRT_HOME) or C(~/.kvirt).
  - Its file has a name that ends in C(kvirt.yml) or C(kvirt.yaml).
requirements: [kvirt]
extends_documentation_fragment: [constructed]
options:
  plugin:
    description: Says that the file is for this plugin.
    required: true
    choices: [kvirt.kvirt.kvirt, kvirt]
  clients:
    description: Clients to ask, C(all) for all that are enabled; the default one when absent.
    type: list
    elements: str
    aliases: [client]
  plan:
    description: Only VMs of this plan.
    type: str
  filters:
    description: Only VMs with these values; fields are name, status, ip, image, network, plan and profile, and a value may
      hold C(*) and C(?).
    type: dict
    default: {}
  group_by:
    description: What to make groups of, such as C(plan_shop) and C(status_running).
    type: list
    elements: str
    choices: [plan, profile, client, image, status]
    default: [plan, profile, client, image, status]
"""

EXAMPLES = """
# kvirt.yml
plugin: kvirt.kvirt.kvirt
clients: [lab, hetzner]
plan: shop
keyed_groups:
  - key: kvirt_location
    prefix: location
"""

from contextlib import ExitStack  # noqa: E402

from ansible.errors import AnsibleParserError  # noqa: E402
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable  # noqa: E402


class InventoryModule(BaseInventoryPlugin, Constructable):
    """The plugin."""

    NAME = 'kvirt.kvirt.kvirt'

    def verify_file(self, path):
        """Tell if *path* is a file for this plugin."""
        return super().verify_file(path) and path.endswith(('kvirt.yml', 'kvirt.yaml'))

    def parse(self, inventory, loader, path, cache=True):
        """Add the VMs to *inventory*."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            from kvirt.errors import KvirtError
            from kvirt.redact import redact
        except ImportError as error:
            raise AnsibleParserError(f'the Python of Ansible has no kvirt: {error}') from error
        try:
            self._add_all()
        except KvirtError as error:
            raise AnsibleParserError(redact(str(error))) from error

    def _add_all(self):
        from kvirt.config import Kconfig
        from kvirt.inventory import hosts
        from kvirt.settings import Settings
        settings, wanted = Settings(), dict(self.get_option('filters'))
        if self.get_option('plan'):
            wanted['plan'] = self.get_option('plan')
        names = settings.targets(','.join(self.get_option('clients') or []) or None)
        with ExitStack() as opened:
            configs = [opened.enter_context(Kconfig(name, settings=settings)) for name in names]
            found = hosts(configs, wanted, self.get_option('group_by'))
        for host in found:
            self.inventory.add_host(host.name)
            for key, value in host.variables.items():
                self.inventory.set_variable(host.name, key, value)
            for group in host.groups:
                self.inventory.add_child(self.inventory.add_group(group), host.name)
            variables, strict = dict(host.variables), self.get_option('strict')
            self._set_composite_vars(self.get_option('compose'), variables, host.name, strict=strict)
            self._add_host_to_composed_groups(self.get_option('groups'), variables, host.name, strict=strict)
            self._add_host_to_keyed_groups(self.get_option('keyed_groups'), variables, host.name, strict=strict)
