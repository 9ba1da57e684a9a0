"""Where a platform has room, and how much of it an account may use."""

from __future__ import annotations

from kvirt.cli.completion import live
from kvirt.cli.lists import listing, showing

list_locations = listing('location', lambda config: config.k.list_locations(),
                         ('name', 'description', 'country', 'available', 'sublocations'), plural='locations',
                         about="A client's option 'location' names the one where it makes VMs.")
info_location = showing('location', lambda config: config.k.list_locations(),
                        live(lambda config: [row['name'] for row in config.k.list_locations()]),
                        about='Show a location of the platform.', example='fra1')
list_quotas = listing('quota', lambda config: config.k.list_quotas(), ('name', 'current', 'maximum', 'unit'),
                      plural='quotas', about='A limit that the platform does not tell is empty.')
