"""Runs torrent creators in turn and prints GB/s, CPU seconds per GB and peak memory as medians.

Called by create.sh with: folder that holds `payload` (a file, or a folder of files), publisher binary, rounds,
Python with libtorrent, folder with the tools that create.sh fetched.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time

work, publisher, rounds, python, fetched = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
payload = os.path.join(work, "payload")
parts = [os.path.join(payload, name) for name in sorted(os.listdir(payload))] if os.path.isdir(payload) else [payload]
size = sum(map(os.path.getsize, parts))

LIBTORRENT = """
import os, sys, libtorrent as lt
path, flag = sys.argv[1], getattr(lt.create_torrent, sys.argv[2]) if sys.argv[2] else 0
storage = lt.file_storage()
lt.add_files(storage, path)
torrent = lt.create_torrent(storage, 1048576, flags=flag)
lt.set_piece_hashes(torrent, os.path.dirname(path))
open(sys.argv[3], "wb").write(lt.bencode(torrent.generate()))
"""


def ours(form):
    return lambda out: [publisher, "torrent", payload, "-o", out, "--format", form, "--piece-length", "1048576", "-q"]


def libtorrent(flag):
    return lambda out: [python, "-W", "ignore", "-c", LIBTORRENT, payload, flag, out]


def runs(command):
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


tools = {"cat (read only)": lambda out: ["cat", *parts]}
tools |= {f"publisher {form}": ours(form) for form in ("v1", "v2", "hybrid")}
if shutil.which("mktorrent"):
    tools["mktorrent -t2"] = lambda out: ["mktorrent", "-t", "2", "-l", "20", "-o", out, payload]
if shutil.which("transmission-create"):
    tools["transmission-create"] = lambda out: ["transmission-create", "-s", "1024", "-o", out, payload]
if runs([python, "-c", "import libtorrent"]):
    tools |= {"libtorrent v1": libtorrent("v1_only"), "libtorrent v2": libtorrent("v2_only"), "libtorrent hybrid": libtorrent("")}
torf = os.path.join(fetched, "venv/bin/torf")
if runs([torf, "--version"]):
    tools["torf"] = lambda out: [torf, payload, "-o", out, "--max-piece-size", "1", "--noconfig", "--nomagnet", "--yes"]
imdl = os.path.join(fetched, "bin/imdl")
if runs([imdl, "--version"]):
    tools["imdl"] = lambda out: [imdl, "torrent", "create", "--input", payload, "--output", out, "--piece-length", "1MiB"]

figures = {name: [] for name in tools}
for turn in range(rounds + 1):
    for name, command in tools.items():
        out = os.path.join(work, "out.torrent")
        if os.path.exists(out):
            os.remove(out)
        start = time.monotonic()
        with open(os.devnull, "wb") as null:
            process = subprocess.Popen(command(out), stdout=null, stderr=subprocess.PIPE)
            errors = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        if status != 0:
            sys.exit(f"{name} failed: {errors.decode(errors='replace')}")
        if turn > 0:  # The first round warms caches.
            cpu = usage.ru_utime + usage.ru_stime
            figures[name].append((size / seconds / 1e9, cpu / (size / 1e9), usage.ru_maxrss / 1024))

what = "one file" if parts == [payload] else f"{len(parts)} files"
print(f"\n{size / 2**20:.0f} MiB in {what}, pieces of 1 MiB, {rounds} rounds, {os.cpu_count()} cores; median [min-max]\n")
print("| tool | GB/s | CPU s/GB | peak RSS MiB |\n|---|---|---|---|")
median = {}
for name, rows in figures.items():
    cells = []
    for column, digits in ((0, 2), (1, 3), (2, 0)):
        values = [row[column] for row in rows]
        cells.append(f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]")
    median[name] = statistics.median(row[0] for row in rows)
    print(f"| {name} | {' | '.join(cells)} |")
for ours_is, other in (("publisher v1", "mktorrent -t2"), ("publisher hybrid", "libtorrent hybrid")):
    if other in median:
        print(f"\n{ours_is} makes {median[ours_is] / median[other]:.2f} times the GB/s of {other}", end="")
print()
