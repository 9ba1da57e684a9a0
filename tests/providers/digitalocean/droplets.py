"""Droplets of the pretended DigitalOcean, their volumes, images and snapshots."""

from __future__ import annotations

import re
import uuid
from typing import Any

from kvirt.testing.cloud import Refusal, Thing, route
from kvirt.testing.wire import Request
from tests.providers.digitalocean.parts import CREATED, Part, no

_HOST = re.compile(r'[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]')
_VOLUME = re.compile(r'[a-z][a-z0-9-]{0,63}')


class Droplets(Part):
    """Droplets and what hangs on them."""

    @route('GET', '/droplets')
    def droplets(self, request: Request) -> Any:
        name, tag, gpus = request.asked('name'), request.asked('tag_name'), request.asked('type') == 'gpus'
        return self.listed(request, 'droplets', [
            each for each in self.all('droplets') if ('gpu_info' in each) is gpus and (tag is None or tag in each['tags'])
            and (name is None or name.lower() == each['name'].lower())])

    @route('GET', '/droplets/{id}')
    def droplet(self, request: Request, id: str) -> Any:
        return {'droplet': self.look('droplets', id)}

    @route('POST', '/droplets')
    def create_droplet(self, request: Request) -> Any:
        asked = request.json
        if not _HOST.fullmatch(asked['name']):
            raise no('Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)')
        if len(self.things.get('droplets', {})) >= self.droplet_limit:
            raise no('creating this/these droplet(s) will exceed your droplet limit')
        size, region, image = self.size(asked['size']), self.region(asked['region']), self._image_of(asked['image'])
        if region['slug'] not in size['regions']:
            raise no('Size is not available in this region.')
        if region['slug'] not in image['regions']:
            raise no('Image is not available in this region.')
        if size['disk'] < image['min_disk_size']:
            raise no('This size is too small for the image.')
        unknown = [key for key in asked.get('ssh_keys', ()) if not self.find('account/keys', fingerprint=key)]
        if unknown:
            raise no(f"{', '.join(unknown)} are invalid key identifiers for Droplet creation.")
        if len(asked.get('user_data', '').encode()) > 64 * 1024:
            raise no('user_data is too long (maximum is 64KB)')
        volumes = [self.get('volumes', each) for each in asked.get('volumes', ())]
        if any(volume['droplet_ids'] or volume['region']['slug'] != region['slug'] for volume in volumes):
            raise no('Volume is already attached or in another region.')
        return {'droplet': self._born(asked, size, region, image, volumes), 'links': {'actions': []}}, 202

    def _born(self, asked: Thing, size: Thing, region: Thing, image: Thing, volumes: list[Thing]) -> Thing:
        vpc = asked.get('vpc_uuid') or next(each['id'] for each in self.things['vpcs'].values()
                                            if each['default'] and each['region'] == region['slug'])
        droplet = self.add('droplets', {
            'name': asked['name'], 'memory': size['memory'], 'vcpus': size['vcpus'], 'disk': size['disk'],
            'created_at': CREATED, 'features': ['droplet_agent'], 'backup_ids': [], 'snapshot_ids': [],
            'next_backup_window': None, 'image': image, 'volume_ids': [each['id'] for each in volumes], 'size': size,
            'size_slug': size['slug'], 'region': region, 'tags': self.tagged(asked.get('tags')),
            'vpc_uuid': self.get('vpcs', vpc)['id'],
            **({'gpu_info': size['gpu_info']} if 'gpu_info' in size else {})})
        for volume in volumes:
            volume['droplet_ids'] = [droplet['id']]
        self.told[asked['name']] = asked.get('user_data', '')
        number = droplet['id'] - 1000
        cards = [{'ip_address': f'10.108.{number // 250}.{number % 250 + 2}', 'netmask': '255.255.240.0',
                  'gateway': '10.108.0.1', 'type': 'private'}]
        if asked.get('public_networking', True):
            cards.insert(0, {'ip_address': f'192.0.{number // 250 + 2}.{number % 250 + 2}', 'netmask': '255.255.240.0',
                             'gateway': '192.0.2.1', 'type': 'public'})
        self.become(droplet, locked=(True, False), status=('new', 'active'),
                    networks=({'v4': [], 'v6': []}, {'v4': cards, 'v6': []}))
        return droplet

    @route('DELETE', '/droplets/{id}')
    def delete_droplet(self, request: Request, id: str) -> None:
        droplet = self.look('droplets', id)
        if droplet['locked']:
            raise no('Droplet already has a pending event.')
        self.drop('droplets', id)
        for volume in self.things.get('volumes', {}).values():
            if droplet['id'] in volume['droplet_ids']:
                self.become(volume, droplet_ids=(volume['droplet_ids'], []))
        for address in self.things.get('reserved_ips', {}).values():
            if (address['droplet'] or {}).get('id') == droplet['id']:
                address['droplet'] = None
        for other in [*self.things.get('load_balancers', {}).values(), *self.things.get('firewalls', {}).values()]:
            if droplet['id'] in other['droplet_ids']:
                other['droplet_ids'].remove(droplet['id'])

    @route('POST', '/droplets/{id}/actions')
    def droplet_action(self, request: Request, id: str) -> Any:
        droplet, asked = self.look('droplets', id), request.json
        off = droplet['status'] == 'off'
        kind = asked['type']
        if kind in ('power_on', 'restore'):
            if kind == 'restore' and self.origins.get(str(asked['image'])) != droplet['id']:
                raise no('The image is no backup of this Droplet.')
            return self.act(kind, 'droplet', droplet, status=(droplet['status'], 'active'))
        if kind in ('power_off', 'shutdown', 'reboot', 'power_cycle'):
            if off:
                raise no('Droplet is already powered off.')
            stays = 'active' if kind in ('reboot', 'power_cycle') else 'off'
            return self.act(kind, 'droplet', droplet, status=('active', stays))
        if kind == 'rename':
            return self.act(kind, 'droplet', droplet, name=(droplet['name'], asked['name']))
        if kind == 'resize':
            return self._resize(droplet, self.size(asked['size']), off)
        assert kind == 'snapshot', kind
        return self.act(kind, 'droplet', droplet, lambda: self._copied(droplet, asked['name']))

    def _resize(self, droplet: Thing, size: Thing, off: bool) -> Any:
        if not off:
            raise no('Droplet must be powered off to be resized.')
        if size['disk'] < droplet['disk']:
            raise no('This size has a smaller disk.')
        new = {'size': size, 'size_slug': size['slug'], 'memory': size['memory'], 'vcpus': size['vcpus']}
        return self.act('resize', 'droplet', droplet, **{key: (droplet[key], value) for key, value in new.items()})

    def _copied(self, droplet: Thing, name: str) -> None:
        image = self.add('images', {
            'name': name, 'slug': None, 'distribution': droplet['image']['distribution'], 'type': 'snapshot',
            'public': False, 'regions': [droplet['region']['slug']], 'created_at': CREATED,
            'min_disk_size': droplet['disk'], 'size_gigabytes': 1.5, 'description': '', 'tags': [], 'status': 'available'})
        self.origins[str(image['id'])] = droplet['id']
        droplet['snapshot_ids'] = [*droplet['snapshot_ids'], image['id']]

    # images and snapshots

    def _image_of(self, reference: Any) -> Thing:
        try:
            return self.find('images', slug=reference) or self.get('images', reference)
        except Refusal:
            raise no('You specified an invalid image for Droplet creation.') from None

    @route('GET', '/images')
    def images(self, request: Request) -> Any:
        private, kind = request.asked('private') == 'true', request.asked('type')
        return self.listed(request, 'images', [each for each in self.all('images')
                                               if (not private or not each['public']) and (kind is None or each['public'])])

    @route('GET', '/images/{id}')
    def image(self, request: Request, id: str) -> Any:
        found = self.find('images', slug=id)
        return {'image': found or self.look('images', id)}

    @route('POST', '/images')
    def create_image(self, request: Request) -> Any:
        asked = request.json
        image = self.add('images', {
            'name': asked['name'], 'slug': None, 'distribution': asked.get('distribution', 'Unknown'), 'type': 'custom',
            'public': False, 'regions': [self.region(asked['region'])['slug']], 'created_at': CREATED,
            'min_disk_size': None, 'size_gigabytes': None, 'description': '', 'tags': [], 'error_message': ''})
        there = 'absent' not in asked['url']
        self.become(image, status=('NEW', 'available' if there else 'deleted'), min_disk_size=(None, 1),
                    error_message=('', '' if there else 'The URL could not be fetched: 404'))
        return {'image': image}, 202

    @route('DELETE', '/images/{id}')
    @route('DELETE', '/snapshots/{id}')
    def delete_image(self, request: Request, id: str) -> None:
        if self.get('images', id)['public']:
            raise no('You can not delete this image.', 403, 'forbidden')
        self.drop('images', id)
        for droplet in self.things.get('droplets', {}).values():
            droplet['snapshot_ids'] = [each for each in droplet['snapshot_ids'] if str(each) != id]

    @route('GET', '/snapshots')
    def snapshots(self, request: Request) -> Any:
        return self.listed(request, 'snapshots', [
            {'id': str(each['id']), 'name': each['name'], 'created_at': each['created_at'], 'regions': each['regions'],
             'min_disk_size': each['min_disk_size'], 'size_gigabytes': each['size_gigabytes'], 'resource_type': 'droplet',
             'resource_id': str(self.origins[str(each['id'])]), 'tags': each['tags']}
            for each in self.all('images') if each['type'] == 'snapshot'])

    # volumes

    @route('GET', '/volumes')
    def volumes(self, request: Request) -> Any:
        region = request.asked('region')
        return self.listed(request, 'volumes', [each for each in self.all('volumes')
                                                if region in (None, each['region']['slug'])])

    @route('POST', '/volumes')
    def create_volume(self, request: Request) -> Any:
        asked, region = request.json, self.region(request.json['region'])
        if not _VOLUME.fullmatch(asked['name']):
            raise no('invalid name: must be lowercase and be composed only of numbers, letters and "-"')
        if any((each['name'], each['region']) == (asked['name'], region) for each in self.all('volumes')):
            raise no('failed to create volume: volume name already exists in region', 409, 'conflict')
        return {'volume': self.add('volumes', {
            'id': str(uuid.uuid4()), 'name': asked['name'], 'size_gigabytes': asked['size_gigabytes'],
            'description': asked.get('description', ''), 'droplet_ids': [],
            'created_at': CREATED, 'tags': self.tagged(asked.get('tags')), 'region': region,
            'filesystem_type': '', 'filesystem_label': ''})}, 201

    @route('DELETE', '/volumes/{id}')
    def delete_volume(self, request: Request, id: str) -> None:
        if self.look('volumes', id)['droplet_ids']:
            raise no('a volume that is attached to a Droplet can not be deleted', 409, 'conflict')
        self.drop('volumes', id)

    @route('POST', '/volumes/{id}/actions')
    def volume_action(self, request: Request, id: str) -> Any:
        volume, asked = self.look('volumes', id), request.json
        if asked['type'] == 'resize':
            size = asked['size_gigabytes']
            if size < volume['size_gigabytes']:
                raise no('volumes can not be made smaller')
            return self.act('resize', 'volume', volume, size_gigabytes=(volume['size_gigabytes'], size))[0], 202
        droplet = self.look('droplets', asked['droplet_id'])
        attach = asked['type'] == 'attach'
        if attach is bool(volume['droplet_ids']) or volume['region']['slug'] != droplet['region']['slug']:
            raise no('Volume is already attached.') if attach else no('Attachment not found', 404, 'not_found')

        def done() -> None:
            volume['droplet_ids'] = [droplet['id']] if attach else []
            others = [each for each in droplet['volume_ids'] if each != id]
            droplet['volume_ids'] = [*others, id] if attach else others
        return self.act(f"{asked['type']}_volume", 'droplet', droplet, done)[0], 202
