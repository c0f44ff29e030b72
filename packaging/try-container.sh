#!/bin/bash
# Tries what the Containerfile promises, without a container engine: a bare Debian root (debootstrap), the
# two programs copied in, run by bubblewrap as an unprivileged user with a read-only root and one
# writable volume. The page, the health check, a torrent fetched by aria2 and SIGTERM are looked at.
#
# Usage, as root, from the project's root:
#   cargo build -p publisher -p seeder
#   packaging/try-container.sh target/debug
#
# Needs debootstrap, bubblewrap, aria2, curl. ROOT=DIR keeps the Debian root there for the next time.

set -euo pipefail

programs=$(realpath "${1:?usage: try-container.sh <folder with publisher and seeder>}")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
root=${ROOT:-$work/root}
seeder=
cleanup() {
    [[ -z $seeder ]] || kill -KILL "$seeder" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }
chmod 755 "$work"

# What `FROM debian:bookworm-slim` gives.
[[ -x $root/bin/bash ]] || debootstrap --variant=minbase bookworm "$root" http://deb.debian.org/debian >"$work/debootstrap.log" \
    || { tail "$work/debootstrap.log"; fail "debootstrap"; }
install -m 755 "$programs/publisher" "$programs/seeder" "$here/healthcheck" "$root/usr/local/bin/"
mkdir -p "$root/srv/groundswell"

# The volume: clips/ and out/ together, owned by the image's user.
volume=$work/volume
mkdir -p "$volume/clips"
cp -r "$here/../examples/test-drive/." "$volume/clips/"
chown -R 6881:6881 "$volume"

# What `--read-only --cap-drop=all --security-opt=no-new-privileges --network=host -v volume:/srv/groundswell` gives.
inside() {
    exec setpriv --reuid=6881 --regid=6881 --clear-groups --no-new-privs --bounding-set=-all \
        bwrap --unshare-user --unshare-pid --as-pid-1 --unshare-ipc --unshare-uts --die-with-parent \
        --ro-bind "$root" / --proc /proc --dev /dev --tmpfs /tmp --bind "$volume" /srv/groundswell \
        --clearenv --setenv PATH /usr/local/bin:/usr/bin:/bin --setenv XDG_CONFIG_HOME /srv/groundswell/config --chdir / "$@"
}

(inside publisher build /srv/groundswell/clips --out /srv/groundswell/out) || fail "publisher build"
say "ok: published, $(find "$volume/out/library" -type f -links +1 | wc -l) file linked and not copied"
if (inside touch /usr/local/bin/x) 2>/dev/null; then fail "the root can be written to"; fi
say "ok: the root is read-only"

inside seeder serve /srv/groundswell/out --http 127.0.0.1:0 --bind 127.0.0.1 --peer-port 0 --json >"$work/ready" 2>"$work/log" &
seeder=$!
for _ in $(seq 100); do
    [[ -s $work/ready ]] && break
    kill -0 "$seeder" 2>/dev/null || { cat "$work/log"; fail "the seeder ended"; }
    sleep 0.1
done
http=$(sed -E 's/.*"http":"([^"]*)".*/\1/' "$work/ready")
peer=$(sed -E 's/.*"peer":\["([^"]*)".*/\1/' "$work/ready")
[[ -n $http && -n $peer ]] || fail "no ready line"
say "ok: ready at $http, peers at $peer"

port=${http##*:}
(inside healthcheck "${port%/}") || fail "health check"
if (inside healthcheck 1) 2>/dev/null; then fail "the health check is well without a seeder"; fi
say "ok: health check"

curl -fsS "$http" >"$work/page" && grep -q '<html' "$work/page" || fail "no page"
torrent=$(basename "$volume"/out/site/t/*.torrent)
clip=${torrent%.torrent}/test-drive.mp4
[[ $(curl -sS -r 0-1 -o /dev/null -w '%{http_code} %{size_download}' "${http}library/$clip") == "206 2" ]] || fail "no range"
say "ok: page and range"

curl -fsS -o "$work/t.torrent" "${http}t/$torrent"
# The torrent names no tracker, as no seeder_url is set; ours is added here.
aria2c --quiet --dir="$work/got" --seed-time=0 --enable-dht=false --bt-enable-lpd=false --interface=127.0.0.1 \
    --bt-tracker="${http}announce" "$work/t.torrent" || fail "aria2"
cmp "$work/got/test-drive.mp4" "$here/../examples/test-drive/test-drive.mp4" || fail "other bytes"
say "ok: aria2 has every byte"

# As in a container the seeder is process 1 of its world, where only signals that are handled do anything.
kill -TERM "$(pgrep -P "$seeder" seeder)"
code=0
wait "$seeder" || code=$?
seeder=
[[ $code == 0 ]] || fail "SIGTERM gave exit code $code"
say "ok: SIGTERM ended it with exit code 0"
