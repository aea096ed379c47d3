# install NAME: installs the package /etc/tsm2-edge/NAME and removes the file. A changed configuration is kept.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"
trap 'rm -f "/etc/tsm2-edge/$1"' EXIT
dpkg --force-confold -i "/etc/tsm2-edge/$1" 2>&1
