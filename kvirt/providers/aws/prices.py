"""Prices: what the Pricing API tells of instances and volumes on demand, and EC2 of spare capacity.

They are list prices, before taxes and discounts, and leave out traffic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvirt.providers.aws.account import pages
from kvirt.providers.aws.remembered import now

_INSTANCES = {'operatingSystem': 'Linux', 'tenancy': 'Shared', 'preInstalledSw': 'NA', 'capacitystatus': 'Used',
              'marketoption': 'OnDemand'}
"""Which of the products that bear an instance type's name is the plain machine."""

Prices = dict[str, Any]
"""``currency``, ``hourly`` by instance type, ``gib_month`` by type of volume."""


def pricing_region(region: str) -> str:
    """Return where prices of *region* are told: few regions have the service."""
    return 'cn-northwest-1' if region.startswith('cn-') else 'us-east-1'


def list_prices(client: Any, region: str) -> Prices:
    """Return the prices in *region*, from the *client* of the service pricing."""
    prices: Prices = {'currency': 'USD', 'hourly': {}, 'gib_month': {}}
    for name, unit, key, filters in (('instanceType', 'Hrs', 'hourly', _INSTANCES),
                                     ('volumeApiName', 'GB-Mo', 'gib_month', {'productFamily': 'Storage'})):
        for product in _products(client, {'regionCode': region, **filters}):
            kind = product['product']['attributes'].get(name)
            for currency, price in _on_demand(product, unit):
                if kind and price > 0:
                    prices['currency'] = currency
                    prices[key][kind] = min(price, prices[key].get(kind, price))
    return prices


def spot_prices(ec2: Any, types: Sequence[str] = ()) -> dict[str, float]:
    """Return what an hour of spare capacity costs now in the cheapest zone, by type; of all types when none is named."""
    prices: dict[str, float] = {}
    wanted: dict[str, Any] = {'InstanceTypes': list(types)} if types else {}
    for row in pages(ec2, 'describe_spot_price_history', 'SpotPriceHistory', size=1000, StartTime=now(),
                     ProductDescriptions=['Linux/UNIX'], **wanted):
        price = float(row['SpotPrice'])
        prices[row['InstanceType']] = min(price, prices.get(row['InstanceType'], price))
    return prices


def _products(client: Any, filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    asked = [{'Type': 'TERM_MATCH', 'Field': field, 'Value': value} for field, value in filters.items()]
    for page in client.get_paginator('get_products').paginate(ServiceCode='AmazonEC2', FormatVersion='aws_v1',
                                                              Filters=asked, PaginationConfig={'PageSize': 100}):
        yield from map(json.loads, page['PriceList'])


def _on_demand(product: Mapping[str, Any], unit: str) -> Iterator[tuple[str, float]]:
    for offer in product.get('terms', {}).get('OnDemand', {}).values():
        for tier in offer['priceDimensions'].values():
            if tier['unit'] == unit:
                yield from ((currency, float(price)) for currency, price in tier['pricePerUnit'].items())
