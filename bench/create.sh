#!/usr/bin/env bash
# Times `publisher torrent` beside other creators on bytes in the page cache, whole process, round by round
# (A B C, A B C …), and prints medians as a table: once on one file, once on a folder of files of 1 MiB.
#
# Uses what is installed of mktorrent and transmission-create (Debian packages). Fetches the others once, into
# target/bench-tools: libtorrent and torf from PyPI, imdl from crates.io (minutes to build). What can't be had is left
# out, loudly. PYTHON names another Python that has libtorrent.
#
#   bench/create.sh [MIB] [FILES] [ROUNDS]     default 2048 MiB, 2000 files, 5 rounds; needs that much disk and memory
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mib="${1:-2048}" files="${2:-2000}" rounds="${3:-5}"
cargo build --release --quiet -p publisher
publisher="$PWD/${CARGO_TARGET_DIR:-target}/release/publisher"
tools="$PWD/target/bench-tools"
mkdir -p "$tools"

left_out() { echo "LEFT OUT: $1" >&2; }

for name in mktorrent transmission-create; do
  command -v "$name" >/dev/null || left_out "$name is not installed"
done
if ! "$tools/venv/bin/python" -c 'import libtorrent, torf' 2>/dev/null; then
  rm -rf "$tools/venv"
  python3 -m venv "$tools/venv" >"$tools/venv.log" 2>&1 || true
  for package in libtorrent==2.1.1 torf-cli==5.2.1; do
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "$package" >>"$tools/venv.log" 2>&1 ||
      left_out "no $package from PyPI (see $tools/venv.log)"
  done
fi
if ! "$tools/bin/imdl" --version >/dev/null 2>&1; then
  echo "building imdl, once" >&2
  cargo install --quiet --locked --root "$tools" imdl@0.1.16 >"$tools/imdl.log" 2>&1 ||
    left_out "imdl can't be built (see $tools/imdl.log)"
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Random bytes: no file system can make holes of them.
mkdir "$work/file" "$work/folder" "$work/folder/payload"
head -c "$((mib * 1024 * 1024))" /dev/urandom >"$work/file/payload"
head -c "$((files * 1024 * 1024))" /dev/urandom | split -b 1M -a 5 -d - "$work/folder/payload/f"

python="${PYTHON:-$tools/venv/bin/python}"
for input in file folder; do
  find "$work/$input" -type f -exec cat {} + >/dev/null
  python3 bench/create.py "$work/$input" "$publisher" "$rounds" "$python" "$tools"
done
