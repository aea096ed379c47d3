# activate CANDIDATE MODEL SECONDS: makes the configuration CANDIDATE, which uses the file MODEL, the one in use.
#
# 1. The swap is one rename. Before it the candidate is validated, after it the service must become ready
#    within so many seconds; else the configuration before comes back.
# 2. A lost connection does not stop this script: it goes on to one of the two ends.
# 3. tsm2-edge.toml.rollback exists only between swap and end. If it is there at the start, a power cut came in
#    between, and it is still the configuration to go back to.
# Exit status: 0 the service is ready; 3 rejected, nothing was changed; 4 rolled back.
set -eu
trap '' HUP PIPE
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
cd /etc/tsm2-edge
candidate=$1 model=$2 seconds=$3 config=tsm2-edge.toml rollback=tsm2-edge.toml.rollback unit=tsm2-edge.service

say() { echo "$@" 2>/dev/null || true; }
property() { systemctl show --property "$1" "$unit" | cut -d = -f 2-; }

exec 9>/run/tsm2-edge-deploy.lock
flock -w 600 9 || { say "another deployment is still running"; exit 3; }

if ! report=$(CREDENTIALS_DIRECTORY=/etc/tsm2-edge tsm2-edge validate "$candidate" 2>&1); then
  rm -f "$candidate"
  say "$report"
  exit 3
fi
say "valid on the device"

was=$(systemctl is-active "$unit" || true)
if [ ! -e "$rollback" ] && [ -e "$config" ]; then
  cp -p "$config" "$rollback.part"
  sync "$rollback.part"
  mv "$rollback.part" "$rollback"
fi
mv "$candidate" "$config"
sync .
say "swapped"

is_ready() {
  systemctl enable "$unit" >/dev/null 2>&1 || return 1
  systemctl restart "$unit" >/dev/null 2>&1 || return 1
  say "restarted"
  while :; do
    [ "$(property ActiveState)" = active ] && [ "$(property StatusText)" = "connected to the broker" ] && return
    [ "$seconds" -gt 0 ] || return 1
    seconds=$((seconds - 1))
    sleep 1
  done
}

if is_ready; then
  rm -f "$rollback"
  # Models of earlier deployments: NAME-<12 hexadecimal digits>.safetensors
  for old in *-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f].safetensors; do
    if [ "$old" = "$model" ] || [ ! -f "$old" ] || grep -qF -e "$old" ./*.toml; then continue; fi
    rm -f -- "$old"
  done
  say "ready"
  exit 0
fi

say "not ready: $(property ActiveState), $(property StatusText)"
journalctl --unit "$unit" --lines 5 --no-pager --output cat 2>/dev/null || true
if [ -e "$rollback" ]; then mv "$rollback" "$config"; else rm -f "$config"; fi
sync .
if [ "$was" = active ]; then
  systemctl restart "$unit" || say "the service does not start with the configuration before either"
else
  systemctl disable "$unit" >/dev/null 2>&1 || true
  systemctl stop "$unit" || true
fi
exit 4
