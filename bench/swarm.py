#!/usr/bin/env python3
"""One seed and some leechers, each in a network namespace behind a shaped link: how soon and how cheaply the first
copies get out. Seeds take turns; Markdown on stdout.

Links are those of bench/load's `netsw`: 16 Mbit/s up, 64 down, 10 ms one way, queues of 60 ms that drop what is more; no
tracker, all peers are told to each other at the start. Rates and copies are counted at the links. The bound for the
last leecher is Kumar and Ross's, max(F/u_s, F/d, N·F/(u_s + Σu)), on payload: headers are 4.5 % on top. Payload copies
are what leechers had from the seed; ours don't tell, so for them it is what the seed's TCP carried, 0.5 % more.

    cargo build --release -p seeder -p load
    bench/swarm.py                             # 64 MiB, 16 leechers of libtorrent; ours, libtorrent, its super-seeding; 3 rounds
    bench/swarm.py --quick --seeds ours        # 16 MiB, 8 leechers, once: 15 s
    bench/swarm.py --leechers ours             # leechers are `seeder fetch`

Needs root (network namespaces) and libtorrent 2.1.1 (PyPI; ./check puts it into target/check/venv).
"""

import argparse
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import seeds

PORT = 6881


class Talker:
    """A process whose standard output is JSON lines, put into one queue with its name."""

    def __init__(self, name, command, lines, log, **more):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, **more)
        self.reader = threading.Thread(target=self.read, args=(lines,), daemon=True)
        self.reader.start()

    def read(self, lines):
        for line in self.process.stdout:
            if line.startswith("{"):
                lines.put((self.name, json.loads(line)))
        lines.put((self.name, {"ended": True}))

    def stop(self):
        self.process.kill()
        self.process.wait()


class Swarm:
    """Namespaces, switch and peers of one run; everything goes with it."""

    def __init__(self, arguments, work):
        self.arguments, self.work, self.lines, self.talkers = arguments, work, queue.Queue(), []
        self.log = open(os.path.join(work, "log"), "a+")
        names = ["seed"] + [f"leecher{n}" for n in range(1, arguments.n + 1)]
        # Process ids tell runs apart that go on at the same time.
        self.spaces = {name: f"sw{os.getpid():x}-{n}" for n, name in enumerate(names)}
        self.addresses = {name: f"10.77.0.{n + 1}" for n, name in enumerate(names)}
        for name in names:
            self.ip("netns", "add", self.spaces[name])
        shape = ["--up", arguments.up, "--down", arguments.down, "--delay", arguments.delay, "--queue", arguments.queue]
        hosts = [f"{self.spaces[name]}={self.addresses[name]}" for name in names]
        netsw = os.path.join(seeds.TARGET, "release", "netsw")
        # Late packets would shape nothing: the switch goes first.
        self.talk("switch", ["nice", "-n", "-10", netsw, *map(str, shape), *hosts])
        self.wait_for("switch", "event")
        for name in names:
            space = self.spaces[name]
            self.ip("-n", space, "addr", "add", f"{self.addresses[name]}/24", "dev", "swarm0")
            self.ip("-n", space, "link", "set", "swarm0", "mtu", "1500", "up")
            self.ip("-n", space, "link", "set", "lo", "up")

    def ip(self, *words):
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"ip {' '.join(words)}: {done.stderr.strip()} (root is needed)")

    def talk(self, name, command):
        talker = Talker(name, command, self.lines, self.log)
        self.talkers.append(talker)
        return talker

    def inside(self, name, command):
        return self.talk(name, ["ip", "netns", "exec", self.spaces[name], *command])

    def wait_for(self, name, key, patience=60):
        end = time.monotonic() + patience
        while True:
            who, line = self.next_line(end, f"{name} says nothing of {key}")
            if who == name and key in line:
                return line

    def next_line(self, end, otherwise):
        try:
            who, line = self.lines.get(timeout=max(0.001, end - time.monotonic()))
        except queue.Empty:
            self.fail(otherwise)
        if "ended" in line:
            self.fail(f"{who} ended")
        return who, line

    def fail(self, words):
        self.log.seek(0)
        tail = self.log.read()[-2000:]
        raise RuntimeError(f"{words}\n{tail}")

    def close(self):
        for talker in reversed(self.talkers):
            talker.stop()
        for space in self.spaces.values():
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def start_seed(swarm, kind, torrent, data):
    address = swarm.addresses["seed"]
    if kind == "ours":
        program = swarm.arguments.seeder
        known = subprocess.run([program, "serve", "--help"], capture_output=True, text=True).stdout
        quiet = [flag for flag in ("--no-utp", "--no-dht", "--no-lsd", "--no-port-mapping") if flag in known]
        command = [program, "serve", torrent, "--data", data, "--bind", address, "--http", f"{address}:8080", "--peer-port", str(PORT), "--json"]
        swarm.inside("seed", command + quiet + swarm.arguments.seeder_flag)
        swarm.wait_for("seed", "event")
    else:
        role = {"libtorrent": "seed", "libtorrent-super": "super"}[kind]
        swarm.inside("seed", [seeds.libtorrent_python(), os.path.join(seeds.HERE, "leecher.py"), role, torrent, data, f"{address}:{PORT}", address])
        swarm.wait_for("seed", "ready")


def start_leecher(swarm, name, torrent):
    address, folder = swarm.addresses[name], os.path.join(swarm.work, name)
    os.makedirs(folder)
    peers = [f"{other}:{PORT}" for who, other in swarm.addresses.items() if who != name]
    if swarm.arguments.leechers == "libtorrent":
        command = [seeds.libtorrent_python(), os.path.join(seeds.HERE, "leecher.py"), "leech", torrent, folder, f"{address}:{PORT}", swarm.addresses["seed"]]
        talker = swarm.inside(name, command + peers)
        swarm.wait_for(name, "ready")
        return lambda: (talker.process.stdin.write("go\n"), talker.process.stdin.flush())
    program = swarm.arguments.seeder
    known = subprocess.run([program, "fetch", "--help"], capture_output=True, text=True).stdout
    quiet = [flag for flag in ("--no-utp", "--no-dht", "--no-lsd", "--no-port-mapping") if flag in known]
    # They stay when they are done, as libtorrent's do.
    stay = [flag for flag in ("--stay", "--seed") if flag in known][:1]
    command = [program, "fetch", torrent, "--out", folder, "--bind", address, "--peer-port", str(PORT), "--json", *quiet, *stay]
    command += [word for peer in peers for word in ("--peer", peer)]
    return lambda: swarm.inside(name, command)


def run(arguments, kind, torrent, pieces, data, work):
    """One run; times in seconds from the start, bytes from the links."""
    swarm = Swarm(arguments, work)
    try:
        start_seed(swarm, kind, torrent, data)
        leechers = [name for name in swarm.addresses if name != "seed"]
        starters = [start_leecher(swarm, name, torrent) for name in leechers]
        began = time.monotonic()
        for go in starters:
            go()
        have, ends, from_seed, wasted, links, trace = set(), {}, {}, {}, [], []
        first_copy = None
        bound = bound_of(arguments)
        end = began + 6 * bound + 10
        while len(ends) < len(leechers):
            who, line = swarm.next_line(end, f"{len(leechers) - len(ends)} leechers of {len(leechers)} aren't done after six times the bound; {len(have)} of {pieces} pieces are out")
            if "links" in line:
                links = line["links"]
                if arguments.trace:
                    trace.append((time.monotonic() - began, links[0]["up"]))
            if isinstance(line.get("pieces"), list):
                have.update(line["pieces"])
            for key, into in (("from_seed", from_seed), ("wasted", wasted)):
                if key in line:
                    into[who] = line[key]
            if "done" in line:
                # Ours tells no clock; the moment its line is read is as good.
                ends[who] = (line["done"] if isinstance(line["done"], float) else time.monotonic()) - began
                have = set(range(pieces)) if have else have
            if first_copy is None and len(have) == pieces:
                at = line.get("t", line.get("done"))
                counted = links[0]["up_payload"] if links else 0
                first_copy = {"s": (at if isinstance(at, float) else time.monotonic()) - began, "links": links, "payload": sum(from_seed.values()) or counted}
        for (before, sent), (after, more) in zip(trace[::10], trace[10::10]):
            print(f"{after:6.1f} s  {(more - sent) * 8 / (after - before) / 1e6:5.1f} Mbit/s up from the seed", file=sys.stderr)
        size = arguments.mib << 20
        copy = first_copy or {"s": min(ends.values()), "links": links, "payload": 0}
        return {
            "first_copy_s": copy["s"],
            "first_copy_ratio": copy["s"] / (size * 8 / arguments.up / 1e6),
            "first_copy_payload": copy["payload"] / size,
            "first_copy_ip": copy["links"][0]["up"] / size if copy["links"] else 0,
            "copies_ip": links[0]["up"] / size, "copies_tcp": links[0]["up_payload"] / size,
            "copies_payload": (sum(from_seed.values()) or links[0]["up_payload"]) / size,
            "first_s": min(ends.values()), "median_s": statistics.median(ends.values()), "last_s": max(ends.values()),
            "ratio": max(ends.values()) / bound, "wasted_mib": sum(wasted.values()) / 2**20,
            "dropped": sum(link["dropped"] for link in links),
        }
    finally:
        swarm.close()
        for name in swarm.addresses:
            shutil.rmtree(os.path.join(work, name), ignore_errors=True)


def bound_of(arguments):
    bits, up, down = (arguments.mib << 20) * 8, arguments.up * 1e6, arguments.down * 1e6
    return max(bits / up, bits / down, arguments.n * bits / (up + arguments.n * up))


def report(arguments, results):
    print(f"\n{arguments.n} leechers ({arguments.leechers}), {arguments.mib} MiB in pieces of {arguments.piece} KiB, {arguments.up:g} Mbit/s up, {arguments.down:g} down; "
          f"bound {bound_of(arguments):.1f} s, F/u_s {(arguments.mib << 20) * 8 / arguments.up / 1e6:.1f} s\n")
    columns = {
        "first copy out s": ("first_copy_s", "{:.1f}"), "÷ F/u_s": ("first_copy_ratio", "{:.2f}"), "payload copies then": ("first_copy_payload", "{:.3f}"),
        "IP copies then": ("first_copy_ip", "{:.2f}"), "first done s": ("first_s", "{:.1f}"), "median s": ("median_s", "{:.1f}"), "last s": ("last_s", "{:.1f}"),
        "last ÷ bound": ("ratio", "{:.2f}"), "payload copies": ("copies_payload", "{:.2f}"), "IP copies": ("copies_ip", "{:.2f}"), "wasted MiB": ("wasted_mib", "{:.1f}"),
    }
    print("| seed | n | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 2))
    for kind, runs in results.items():
        cells = []
        for key, form in columns.values():
            values = [run[key] for run in runs]
            cells.append("-" if not values else form.format(statistics.median(values)) + (f" [{form.format(min(values))}-{form.format(max(values))}]" if len(values) > 1 else ""))
        print(f"| {kind} | {len(runs)} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="ours,libtorrent,libtorrent-super")
    parser.add_argument("--leechers", choices=["libtorrent", "ours"], default="libtorrent")
    parser.add_argument("-n", type=int, default=16, help="how many leechers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--piece", type=int, default=256, help="KiB")
    parser.add_argument("--up", type=float, default=16, help="Mbit/s")
    parser.add_argument("--down", type=float, default=64, help="Mbit/s")
    parser.add_argument("--delay", type=float, default=10, help="one way, ms")
    parser.add_argument("--queue", type=float, default=60, help="ms")
    parser.add_argument("--quick", action="store_true", help="16 MiB, 8 leechers, one round")
    parser.add_argument("--seeder", default=os.path.join(seeds.TARGET, "release", "seeder"), help="our program")
    parser.add_argument("--seeder-flag", action="append", default=[], help="a further flag for our seed, as --seeder-flag=--x")
    parser.add_argument("--trace", action="store_true", help="print what the seed sends, second by second")
    parser.add_argument("--keep", help="keep logs in this folder")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.mib, arguments.n, arguments.rounds = 16, 8, 1
    if not os.access(os.path.join(seeds.TARGET, "release", "netsw"), os.X_OK):
        sys.exit("no switch: cargo build --release -p seeder -p load")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.keep or temporary
        data = os.path.join(temporary, "data")
        os.makedirs(data)
        os.makedirs(work, exist_ok=True)
        payload, torrent = os.path.join(data, "payload"), os.path.join(temporary, "payload.torrent")
        with open(payload, "wb") as file:
            file.write(os.urandom(arguments.mib << 20))
        seeds.make_torrent(payload, arguments.piece << 10, torrent)
        pieces = -(-(arguments.mib << 10) // arguments.piece)
        results = {kind: [] for kind in arguments.seeds.split(",")}
        for turn in range(arguments.rounds):
            for kind in results:
                try:
                    result = run(arguments, kind, torrent, pieces, data, work)
                except (RuntimeError, seeds.Missing) as why:
                    print(f"round {turn + 1} {kind}: FAILED: {why}", file=sys.stderr)
                    continue
                results[kind].append(result)
                print(f"round {turn + 1} {kind}: {json.dumps({key: round(value, 3) for key, value in result.items()})}", file=sys.stderr)
        report(arguments, results)


main()
