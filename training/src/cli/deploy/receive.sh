# receive NAME SHA256: writes standard input to /etc/tsm2-edge/NAME. An incomplete file never gets its name.
set -eu
folder=/etc/tsm2-edge
mkdir -p "$folder"
part=$(mktemp "$folder/.incoming.XXXXXX")
trap 'rm -f "$part"' EXIT
cat >"$part"
if [ "$(sha256sum <"$part" | cut -d ' ' -f 1)" != "$2" ]; then
  echo "$1 arrived incomplete or damaged; run the command again" >&2
  exit 1
fi
chmod 644 "$part"
sync "$part"
mv "$part" "$folder/$1"
