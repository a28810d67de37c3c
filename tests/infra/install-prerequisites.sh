#!/bin/sh
# Installs from Debian what the virtual machines of tests/infra need. Needs root.
set -eu

packages="qemu-system-x86 cpio kmod fakeroot e2fsprogs"

if ! command -v apt-get >/dev/null; then
    echo "$0: no apt-get: the virtual machines are built from Debian packages, on Debian" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "$0: needs root; run: sudo $0  (or have these installed: $packages)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -q
# shellcheck disable=SC2086  # a list of words
apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends $packages
