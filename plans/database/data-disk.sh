#!/bin/bash
# Put a file system on the one disk that is empty, unless it has one, and mount it at $1, now and at every boot.
# Whatever a platform calls its disks: the empty one has no partitions and nothing on it.
set -euo pipefail
folder=$1
label=data

empty() {
  [ "$(lsblk -no NAME "$1" | wc -l)" = 1 ] || return 1
  local found=0
  blkid -p "$1" >/dev/null 2>&1 || found=$?
  [ "$found" = 2 ]  # what blkid says of a disk without anything; 8 is one that it can not make up its mind about
}

if ! blkid -L "$label" >/dev/null; then
  for disk in $(lsblk -dnpo NAME,TYPE | awk '$2 == "disk" {print $1}'); do
    if empty "$disk"; then
      mkfs.ext4 -q -L "$label" "$disk"
      break
    fi
  done
  udevadm settle
fi
blkid -L "$label" >/dev/null || { echo 'there is no empty disk'; exit 1; }
mkdir -p "$folder"
grep -q "LABEL=$label" /etc/fstab ||
  echo "LABEL=$label $folder ext4 defaults,nofail,x-systemd.growfs 0 2" >> /etc/fstab
mountpoint -q "$folder" || mount "$folder"
