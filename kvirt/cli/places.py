"""Where a platform has room, and how much of it an account may use."""

from __future__ import annotations

from kvirt.cli.lists import listing

list_locations = listing('location', lambda config: config.k.list_locations(),
                         ('name', 'description', 'country', 'available', 'sublocations'), plural='locations',
                         about="A client's option 'location' names the one where it makes VMs.")
list_quotas = listing('quota', lambda config: config.k.list_quotas(), ('name', 'current', 'maximum', 'unit'),
                      plural='quotas', about='A limit that the platform does not tell is empty.')
