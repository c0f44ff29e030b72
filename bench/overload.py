#!/usr/bin/env python3
"""A small line and a crowd: a limit of 20 Mbit/s and 500 clients of all kinds at once; what got through, and to whom.

300 BEP 3 peers over TCP (bench/load, half of them begin with the first prefix), 190 HTTP clients of five kinds (KINDS below),
and 10 libtorrent clients, half of them over uTP. After ten seconds, half a minute is measured. The seeder's counters tell what
it sent while somebody waited; the clients tell what arrived. Prints Markdown, then one line of JSON; fails where somebody got
nothing.

    cargo build --release -p seeder -p publisher -p load
    bench/overload.py                        # about a minute
    bench/overload.py --rate 100Mbit/s --seconds 10

Needs python3-libtorrent for the last kind; without it, that kind is left out, and said so.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
FILE = 256 << 20
PREFIX = 2 << 20
RANGE = 64 << 10
# Of HTTP clients: how many, whether they ask for the beginning, are one address, keep their connection, wait as a 503 tells
# them, ask for all that follows.
KINDS = {
    "first prefixes over and over": (40, True, False, True, True, False),
    "inside, waits as told": (60, False, False, True, True, False),
    "inside, asks again at once, each time anew": (30, False, False, False, False, False),
    "inside, all of one address": (30, False, True, False, True, False),
    "inside, one long answer": (30, False, False, True, True, True),
}
LIBTORRENT = """
import sys, time, libtorrent as lt
torrent, save, way, address, peer = sys.argv[1:6]
s = lt.session({"listen_interfaces": address + ":0", "outgoing_interfaces": address, "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "alert_mask": 0, "enable_outgoing_tcp": way == "tcp",
    "enable_incoming_tcp": way == "tcp", "enable_outgoing_utp": way == "utp", "enable_incoming_utp": way == "utp"})
h = s.add_torrent({"ti": lt.torrent_info(torrent), "save_path": save})
host, port = peer.rsplit(":", 1)
while True:
    h.connect_peer((host, int(port)))
    for _ in range(10):
        time.sleep(0.1)
        print(h.status().total_payload_download, flush=True)
"""


def rate_of(text):
    for unit, factor in (("Mbit/s", 125_000), ("MB/s", 1_000_000)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    sys.exit("write --rate as 20Mbit/s or 2.5MB/s")


def counters(path):
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        control.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
    lines = [line.split(" ") for line in text.splitlines() if line.startswith("groundswell_") and "{" not in line]
    return {name.removeprefix("groundswell_").removesuffix("_total"): float(value) for name, value in lines}


def start_load(*words):
    words = [os.path.join(RELEASE, "load"), *map(str, words)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def has_libtorrent():
    return subprocess.run(["/usr/bin/python3", "-c", "import libtorrent"], capture_output=True).returncode == 0


class Libtorrent:
    def __init__(self, index, torrent, folder, peer):
        way = "utp" if index % 2 else "tcp"
        words = ["/usr/bin/python3", "-c", LIBTORRENT, torrent, os.path.join(folder, f"lt{index}"), way, f"127.9.0.{index + 1}", peer]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.bytes = 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.bytes = int(line)


class Range:
    """An HTTP client that asks for one range after the other."""

    def __init__(self, index, kind, host, path):
        _, self.begins, one, self.keeps, self.obeys, self.whole = KINDS[kind]
        self.kind, self.path, self.host = kind, path, host
        self.address = "127.10.0.1" if one else f"127.8.{index // 200}.{index % 200 + 1}"
        self.random = random.Random(index)
        self.bytes = self.answers = self.refusals = self.broken = 0
        self.first = None

    async def run(self):
        begin = time.monotonic()
        while True:
            try:
                host, port = self.host.rsplit(":", 1)
                reader, writer = await asyncio.open_connection(host, int(port), local_addr=(self.address, 0), limit=RANGE)
                try:
                    while await self.ask(reader, writer, begin):
                        pass
                finally:
                    writer.close()
            except (OSError, EOFError):
                self.broken += 1
                await asyncio.sleep(1)

    async def ask(self, reader, writer, begin):
        at = self.random.randrange(PREFIX // RANGE) if self.begins else self.random.randrange(PREFIX // RANGE, FILE // RANGE - 32)
        end = "" if self.whole else at * RANGE + RANGE - 1
        head = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nRange: bytes={at * RANGE}-{end}\r\n\r\n"
        writer.write(head.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        left, served = int(fields["content-length"]), head.startswith("http/1.1 206")
        while left:
            got = len(await reader.read(min(left, 1 << 16)))
            if not got:
                raise EOFError
            left -= got
            if served:
                self.bytes += got
                self.first = self.first or time.monotonic() - begin
        self.answers += served
        if not served:
            self.refusals += 1
            if self.obeys:
                await asyncio.sleep(int(fields["retry-after"]))
        return self.keeps


def start_ranges(host, path):
    kinds = [kind for kind, (n, *_) in KINDS.items() for _ in range(n)]
    clients = [Range(index, kind, host, path) for index, kind in enumerate(kinds)]

    async def run():
        await asyncio.gather(*(client.run() for client in clients))

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    return clients


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", default="20Mbit/s")
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    limit = rate_of(arguments.rate)
    with tempfile.TemporaryDirectory() as folder:
        clips, out = os.path.join(folder, "clips"), os.path.join(folder, "out")
        os.mkdir(clips)
        with open(os.path.join(clips, "film.bin"), "wb") as file:
            for _ in range(FILE >> 20):
                file.write(os.urandom(1 << 20))
        build = [os.path.join(RELEASE, "publisher"), "build", clips, "--out", out, "--quiet"]
        subprocess.run(build, check=True)
        with open(os.path.join(out, "state.json")) as file:
            entry = json.load(file)["torrents"][0]
        torrent = os.path.join(out, entry["torrent"])
        path = f"/library/{entry['id']}/film.bin"
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
        environment.pop("RUNTIME_DIRECTORY", None)
        words = [os.path.join(RELEASE, "seeder"), "serve", out, "--http", "127.0.0.1:0", "--bind", "127.0.0.1", "--peer-port", "0"]
        words += ["--upload-limit", arguments.rate, "--json", "--quiet"]
        seeder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        clients = []
        try:
            ready = json.loads(seeder.stdout.readline())
            peer, web = ready["peer"][0], ready["http"].removeprefix("http://").rstrip("/")
            control = os.path.join(folder, "groundswell", f"seeder-{seeder.pid}.sock")
            times = ["--patience", 60, "--warm-up", 10, "--seconds", arguments.seconds]
            peers = start_load("peers", peer, torrent, "-c", 300, "--newcomers", 0.5, "--prefix", PREFIX, "--depth", 16, *times)
            ranges = start_ranges(web, path)
            if has_libtorrent():
                clients = [Libtorrent(index, torrent, folder, peer) for index in range(10)]
            else:
                print("LEFT OUT: libtorrent, install python3-libtorrent", file=sys.stderr)
            time.sleep(10)
            samples = [(time.monotonic(), counters(control))]
            before = [client.bytes for client in ranges + clients]
            for _ in range(arguments.seconds):
                time.sleep(1)
                samples.append((time.monotonic(), counters(control)))
            moved_bytes = [client.bytes - bytes for client, bytes in zip(ranges + clients, before)]
            done = json.loads(peers.communicate(timeout=180)[0] or "{}")
        finally:
            for client in clients:
                client.process.kill()
            seeder.send_signal(signal.SIGINT)
            seeder.wait()
    first, last = samples[0], samples[-1]
    moved = lambda a, b, name: b[1][name] - a[1][name]

    def held(a, b):
        return moved(a, b, "uplink_busy_bytes") / moved(a, b, "uplink_busy_milliseconds") * 1000 / limit

    five = [held(a, b) for a, b in zip(samples, samples[5:])]
    by_wall = moved(first, last, "uplink_busy_bytes") / (last[0] - first[0]) / limit
    groups = {
        f"peers, {name}": {"clients": group["connections"], "served": group["served"], **{key: group[f"bytes_{key}"] for key in ("min", "mean", "max")}}
        for name, group in done.get("groups", {}).items()
    }

    def add(name, members):
        got = [bytes for client, bytes in zip(ranges + clients, moved_bytes) if client in members]
        if got:
            served = sum(bytes > 0 for bytes in got)
            groups[name] = {"clients": len(got), "served": served, "min": min(got), "mean": sum(got) / len(got), "max": max(got)}

    for kind in KINDS:
        members = [client for client in ranges if client.kind == kind]
        add(f"HTTP, {kind}", members)
        groups[f"HTTP, {kind}"] |= {
            "first_byte_s_most": max((client.first or float("inf") for client in members)),
            "answers": sum(client.answers for client in members),
            "refusals": sum(client.refusals for client in members),
            "broken": sum(client.broken for client in members),
        }
    add("libtorrent", clients)
    n_clients, n_served = (sum(group[key] for group in groups.values()) for key in ("clients", "served"))
    result = {
        "rate": arguments.rate,
        "seconds": last[0] - first[0],
        "of_limit": held(first, last),
        "of_limit_by_wall_clock": by_wall,
        "of_limit_in_5_s_least": min(five),
        "of_limit_in_5_s_most": max(five),
        "busy_share": moved(first, last, "uplink_busy_milliseconds") / 1000 / (last[0] - first[0]),
        "http_busy": moved(first, last, "http_busy"),
        "clients": n_clients,
        "served": n_served,
        "groups": groups,
        "peers": done,
    }
    print("| | |\n|---|---|")
    print(f"| of the limit, over {result['seconds']:.0f} s | {result['of_limit']:.4f} (wall clock {by_wall:.4f}) |")
    print(f"| of the limit, any 5 s | {min(five):.4f} to {max(five):.4f} |")
    print(f"| somebody waited | {result['busy_share']:.1%} of the time |")
    print(f"| answers with 503 | {result['http_busy']:.0f} |")
    for name, group in groups.items():
        figures = ", ".join(f"{group[key] / 1024:.0f}" for key in ("min", "mean", "max"))
        more = ""
        if "refusals" in group:
            more = f"; {group['answers']} answers, {group['refusals']} times 503, first byte after {group['first_byte_s_most']:.1f} s at most"
        print(f"| {name}: least, mean, most KiB in the window | {figures}; {group['served']} of {group['clients']} got something{more} |")
    print(f"| every client of every kind made progress | {n_served} of {n_clients} |")
    print(json.dumps(result))
    if n_served < n_clients:
        sys.exit(f"{n_clients - n_served} clients got nothing in {result['seconds']:.0f} s")


main()
