# Prints what runs on the device. Changes nothing.
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
cd /etc/tsm2-edge 2>/dev/null || { echo "program        not installed: /etc/tsm2-edge is missing"; exit 0; }
property() { systemctl show --property "$1" tsm2-edge.service 2>/dev/null | cut -d = -f 2-; }
echo "program        $(tsm2-edge --version 2>&1)"
echo "service        $(property ActiveState), $(property UnitFileState)"
echo "status         $(property StatusText)"
echo "restarts       $(property NRestarts)"
echo "started        $(property ActiveEnterTimestamp)"
if [ -f tsm2-edge.toml ]; then
  echo "configuration  $(sha256sum tsm2-edge.toml | cut -c 1-12), $(date -r tsm2-edge.toml '+%Y-%m-%d %H:%M:%S %z')"
  echo "bundle         $(sed -n 's/^ *\(model\.\)\{0,1\}bundle *= *//p' tsm2-edge.toml | head -n 1)"
fi
if [ -e tsm2-edge.toml.rollback ]; then echo "unfinished     a deployment was interrupted; run it again"; fi
exit 0
