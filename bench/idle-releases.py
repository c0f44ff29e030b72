#!/usr/bin/env python3
"""What ten thousand releases cost the seeder while nobody asks for them: makes an output folder of so many releases, each
one file of 64 KiB in 4 pieces, as `publisher build` leaves it, then starts `seeder serve` on it several times and prints
the time to its ready line, its memory and its processor time over ten idle seconds.

    cargo build --release -p seeder
    bench/idle-releases.py [--seeder target/release/seeder] [--releases 10000] [--rounds 5] [--idle 10] [-- FLAG…]

Flags behind `--` go to `seeder serve`; without any it is started on loopback and off the DHT.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PIECE = 16 * 1024
BYTES = 4 * PIECE


def merkle_root(data):
    layer = [hashlib.sha256(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE)]
    while len(layer) > 1:
        layer = [hashlib.sha256(layer[at] + layer[at + 1]).digest() for at in range(0, len(layer), 2)]
    return layer[0].hex()


def bencoded(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d" + b"".join(bencoded(key) + bencoded(value[key]) for key in sorted(value)) + b"e"


def stat_of(path):
    found = os.stat(path)
    return {
        "device": found.st_dev,
        "inode": found.st_ino,
        "bytes": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
    }


def fill(out, releases):
    """An output folder with its state, as docs/state-and-catalog.md has it."""
    noise = random.Random(5)
    os.makedirs(f"{out}/site/t")
    torrents, slugs = [], []
    for number in range(releases):
        name, data = f"release-{number:05}.bin", noise.randbytes(BYTES)
        pieces = b"".join(hashlib.sha1(data[at : at + PIECE]).digest() for at in range(0, BYTES, PIECE))
        info = {"length": BYTES, "name": name, "piece length": PIECE, "pieces": pieces}
        identity = hashlib.sha1(bencoded(info)).hexdigest()
        folder = f"library/{identity}"
        os.makedirs(f"{out}/{folder}")
        with open(f"{out}/{folder}/{name}", "wb") as file:
            file.write(data)
        torrent = {"announce": "http://127.0.0.1:8080/announce", "info": info}
        with open(f"{out}/site/t/{identity}.torrent", "wb") as file:
            file.write(bencoded(torrent))
        stat = stat_of(f"{out}/{folder}/{name}")
        slug = f"release-{number:05}"
        torrents.append(
            {
                "id": identity,
                "slug": slug,
                "title": f"Release number {number}",
                "rendition": "source",
                "status": "public",
                "torrent": f"site/t/{identity}.torrent",
                "data": folder,
                "info_hash_v1": identity,
                "files": [{"path": name, "bytes": BYTES, "stat": stat, "merkle_root": merkle_root(data)}],
            }
        )
        slugs.append(
            {
                "slug": slug,
                "source": name,
                "first_published": "2026-11-22T08:00:00Z",
                "torrents": [identity],
                "sources": [{"path": "", "stat": stat}],
            }
        )
    torrents.sort(key=lambda torrent: torrent["id"])
    state = {"version": 1, "torrents": torrents, "releases": slugs}
    with open(f"{out}/state.json", "w", encoding="utf-8") as file:
        json.dump(state, file, indent=2)


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid, key):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


def one_round(command, idle):
    before = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ready = json.loads(process.stdout.readline())
        seconds = time.monotonic() - before
        start_cpu = processor_seconds(process.pid)
        # What the start leaves to do is done.
        time.sleep(2)
        cpu = processor_seconds(process.pid)
        time.sleep(idle)
        cpu = processor_seconds(process.pid) - cpu
        return {
            "torrents": ready["torrents"],
            "ready": seconds,
            "start_cpu": start_cpu,
            "rss": status(process.pid, "VmRSS"),
            "anonymous": status(process.pid, "RssAnon"),
            "peak": status(process.pid, "VmHWM"),
            "idle": 100 * cpu / idle,
        }
    finally:
        process.terminate()
        process.wait()


def main():
    own = sys.argv[1:]
    flags = ["--http", "127.0.0.1:0", "--peer-port", "0", "--bind", "127.0.0.1"]
    if "--" in own:
        at = own.index("--")
        own, flags = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeder", default="target/release/seeder")
    parser.add_argument("--releases", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=10)
    parser.add_argument("--out", help="keep the folder here, and use it if it is there")
    options = parser.parse_args(own)
    folder = tempfile.mkdtemp(prefix="groundswell-idle-")
    out = options.out or f"{folder}/out"
    try:
        if not os.path.exists(f"{out}/state.json"):
            fill(out, options.releases)
        print(f"{options.releases} releases of {BYTES >> 10} KiB, state.json {os.path.getsize(f'{out}/state.json') >> 20} MiB")
        command = [options.seeder, "serve", out, *flags, "--json", "--quiet"]
        # What it remembers and its control socket lie there as well.
        os.environ.update(XDG_STATE_HOME=folder, XDG_RUNTIME_DIR=folder)
        rounds = [one_round(command, options.idle) for _ in range(options.rounds)]
        print("\n| | median | |\n|---|---|---|")
        for key, name, unit in [
            ("torrents", "torrents served", ""),
            ("ready", "start to ready", "s"),
            ("start_cpu", "processor time until then", "s"),
            ("rss", "resident memory when idle", "MiB"),
            ("anonymous", "of it its own", "MiB"),
            ("peak", "resident memory at its peak", "MiB"),
            ("idle", f"processor over {options.idle:g} idle seconds", "%"),
        ]:
            values = [found[key] for found in rounds]
            print(f"| {name} | {statistics.median(values):.3g} {unit} | [{min(values):.3g}-{max(values):.3g}] |")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
