#!/usr/bin/env bash
# Makes an image of Debian 13 with its Python 3.13 and pip, for an engine that can pull no image: laid out as the
# official python:3.13-slim is where deploy/Dockerfile looks. Needs root, debootstrap and a mirror of Debian.
#
#   deploy/stand-ins/base.sh [TAG] [MIRROR]
set -euo pipefail
tag=${1:-python:3.13-slim}
mirror=${2:-http://deb.debian.org/debian}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

packages=ca-certificates,netbase,python3-pip-whl,python3.13-venv,tzdata
debootstrap --variant=minbase --include="$packages" trixie "$root" "$mirror" > "$root.log" 2>&1 ||
    { tail -5 "$root.log" >&2; exit 1; }
rm -f "$root.log"

# Debian's pip is for its own Python alone; the official image has pip beside its Python, free to install.
python=$root/usr/lib/python3.13
rm "$python/EXTERNALLY-MANAGED"
ln -s /usr/bin/python3.13 "$root/usr/local/bin/python"
ln -s /usr/bin/python3.13 "$root/usr/local/bin/python3"
chroot "$root" /usr/bin/python3.13 -c 'import glob, sys, zipfile
[wheel] = glob.glob("/usr/share/python-wheels/pip-*.whl")
zipfile.ZipFile(wheel).extractall("/usr/local/lib/python3.13/dist-packages")'

# What Debian's own slim image leaves out too.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{doc,info,lintian,man}/*
find "$root/usr/share/locale" -mindepth 1 -maxdepth 1 -exec rm -rf {} +

tar --create --directory "$root" --one-file-system --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' . |
    docker import --change 'CMD ["python3"]' --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --message 'a stand-in: Debian 13 with its own Python' - "$tag" > /dev/null
docker image inspect --format "$tag is here, {{.Size}} bytes" "$tag"
