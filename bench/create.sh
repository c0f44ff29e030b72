#!/usr/bin/env bash
# Times `publisher torrent` on a file in the page cache beside other creators, whole process, round by round
# (A B C, A B C …), and prints medians as a table. Uses what is installed of: mktorrent, transmission-create,
# libtorrent for Python (PYTHON, default python3).
#
#   bench/create.sh [MIB] [ROUNDS]     default 2048 MiB, 5 rounds; needs that much disk and memory
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mib="${1:-2048}" rounds="${2:-5}" python="${PYTHON:-python3}"
cargo build --release --quiet -p publisher
publisher="${CARGO_TARGET_DIR:-target}/release/publisher"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Random bytes: no file system can make holes of them.
head -c "$((mib * 1024 * 1024))" /dev/urandom >"$work/payload"
cat "$work/payload" >/dev/null
exec python3 bench/create.py "$work" "$publisher" "$rounds" "$python"
