#!/usr/bin/env python3
"""Seeds side by side under the same load: processor time per GB, rate, memory, latency, fairness; Markdown on stdout.

One seed on core 0, the load generator (bench/load) on core 1, over loopback; one file of random bytes in the page cache,
pieces of 1 MiB. The seeds take turns, A B C, A B C …, each started anew in each round. Processor time and memory come
from /proc, over all threads, within the measured window. A cell during which something else used the machine is
measured again, up to --tries times; what stays noisy is counted and named.

    cargo build --release -p seeder -p load
    bench/serve.py                          # all seeds, 5 rounds, 1 / 8 / 64 / 512 connections; then the cold file and the idle peers
    bench/serve.py --rounds 1 --seeds ours,nginx --connections 8 --only load

Needs what its lines of "LEFT OUT" name; as root it installs Debian's packages and libtorrent (PyPI) by itself.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import seeds

SEED_CORE, LOAD_CORE = 0, 1
QUIET_CORES = 0.15


def load(arguments, *words):
    command = ["nice", "-n", str(arguments.nice), "taskset", "-c", str(LOAD_CORE), os.path.join(seeds.TARGET, "release", "load"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"the load generator fails: {done.stderr}")
    return json.loads(done.stdout)


def watched(seed):
    return [word for pid in seed.pids for word in ("--pid", pid)]


def address(seed):
    return "{}:{}".format(*seed.address)


def throughput(arguments, seed, file, torrent, connections):
    times = ["--seconds", arguments.seconds, "-c", connections, *watched(seed)]
    if seed.web:
        length = os.path.getsize(file)
        return load(arguments, "ranges", address(seed), "/" + os.path.basename(file), "--length", length, "--torrent", torrent, *times)
    return load(arguments, "peers", address(seed), torrent, *times)


def quiet(cell):
    return cell["other_cpu_s"] / cell["seconds"] < QUIET_CORES


def measured(arguments, measure):
    """One cell; again while something else runs."""
    for _ in range(arguments.tries):
        cell = measure()
        if quiet(cell):
            break
    return cell


def spread(values, form="{:.2f}"):
    if not values:
        return "-"
    middle, least, most = (form.format(pick(values)) for pick in (statistics.median, min, max))
    return f"{middle} [{least}-{most}]"


def table(title, columns, rows):
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def run_load(arguments, names, file, torrent, work):
    """cells[name][connections] = one report a round"""
    cells = {name: {n: [] for n in arguments.connections} for name in names}
    for turn in range(arguments.rounds):
        for name in list(names):
            try:
                seed = seeds.start(name, [torrent], os.path.dirname(file), work, SEED_CORE, arguments.build_rqbit)
            except seeds.Missing as missing:
                print(f"LEFT OUT: {name}: {missing}", file=sys.stderr)
                names.remove(name)
                continue
            try:
                for connections in arguments.connections:
                    cell = measured(arguments, lambda: throughput(arguments, seed, file, torrent[0], connections))
                    cells[name][connections].append(cell)
                    group = next(iter(cell["groups"].values()))
                    print(f"round {turn + 1} {name} {connections}: {cell['cpu_s_per_gb']:.3f} s/GB, {cell['mb_per_s']:.0f} MB/s, "
                          f"{group['served']} served, {group['pieces_bad']} of {group['pieces_checked']} pieces bad"
                          f"{'' if quiet(cell) else ', NOISY'}", file=sys.stderr)
                    if group["pieces_bad"]:
                        sys.exit(f"{name} served wrong bytes")
            finally:
                seed.stop()
    return cells


def group_of(cell):
    return next(iter(cell["groups"].values()))


def report_load(arguments, names, cells):
    columns = [f"{n} conn" for n in arguments.connections]

    def by_connections(title, value, form="{:.2f}", rows=names):
        def cell(name, n):
            # A seed that serves nobody has no processor time per byte.
            return spread([value(name, n, turn) for turn, c in enumerate(cells[name][n]) if c["bytes"]], form)
        table(title, ["", *columns], [[name, *(cell(name, n) for n in arguments.connections)] for name in rows])

    def per_gb(name, n, turn):
        return cells[name][n][turn]["cpu_s_per_gb"]

    by_connections("CPU seconds of the seed per GB:", per_gb)
    for other in ("nginx", "rtorrent"):
        if other in names:
            rows = [name for name in names if name != other]
            by_connections(f"CPU per GB, times {other} in the same round:", lambda name, n, turn: per_gb(name, n, turn) / per_gb(other, n, turn), rows=rows)
    by_connections("MB/s (one core for the seed):", lambda name, n, turn: cells[name][n][turn]["mb_per_s"], "{:.0f}")
    by_connections("The generator's own CPU seconds per GB:", lambda name, n, turn: cells[name][n][turn]["generator_cpu_s"] / (cells[name][n][turn]["bytes"] / 1e9))
    rows = []
    for name in names:
        for n in arguments.connections:
            took = cells[name][n]
            groups = [group_of(cell) for cell in took]
            latency = ["/".join("-" if g["latency_ms"][q] is None else f"{g['latency_ms'][q]:.3g}" for q in ("p50", "p99", "max")) for g in groups[-1:]]
            p99 = [g["latency_ms"]["p99"] for g in groups if g["latency_ms"]["p99"] is not None]
            least = [g["bytes_min"] / max(g["bytes_mean"], 1) for g in groups]
            rows.append([name, str(n), f"{min(g['served'] for g in groups)}", spread(least), spread(p99, "{:.3g}"), *latency,
                         spread([c["anonymous_kib"] / 1024 for c in took], "{:.1f}"), spread([c["rss_kib"] / 1024 for c in took], "{:.0f}"),
                         f"{sum(map(quiet, took))} of {len(took)}"])
    table("Served, slowest ÷ mean, latency of a block (nginx: of a range of 1 MiB), memory of the seed in MiB:",
          ["", "conn", "served", "slowest ÷ mean", "p99 ms", "p50/p99/max ms (last round)", "RssAnon", "RSS", "quiet"], rows)


class Dropper(threading.Thread):
    """Keeps a file out of the page cache."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.file, self.over = os.open(path, os.O_RDONLY), threading.Event()
        self.drop()

    def drop(self):
        os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)

    def run(self):
        while not self.over.wait(0.05):
            self.drop()


def read_bytes(seed):
    total = 0
    for pid in seed.pids:
        with open(f"/proc/{pid}/io") as file:
            total += int(file.read().split("read_bytes: ")[1].split()[0])
    return total


def run_cold(arguments, names, file, torrent, cold_file, cold_torrent, work):
    rows = []
    for name in names:
        alone, mixed, shares, disk = [], [], [], []
        for _ in range(arguments.rounds):
            try:
                seed = seeds.start(name, [torrent, cold_torrent], os.path.dirname(file), work, SEED_CORE, arguments.build_rqbit)
            except seeds.Missing as missing:
                print(f"LEFT OUT: {name}: {missing}", file=sys.stderr)
                break
            times = ["-c", 8, "--seconds", arguments.seconds, *watched(seed)]
            try:
                alone.append(load(arguments, "peers", address(seed), torrent[0], *times)["groups"]["peers"]["latency_ms"]["p99"])
                dropper = Dropper(cold_file)
                dropper.start()
                before = read_bytes(seed)
                cell = load(arguments, "peers", address(seed), torrent[0], *times, "--other", cold_torrent[0], "--other-connections", 4)
                disk.append((read_bytes(seed) - before) / 1e6)
                dropper.over.set()
                dropper.join()
                mixed.append(cell["groups"]["peers"]["latency_ms"]["p99"])
                shares.append(cell["groups"]["others"]["mb_per_s"])
                print(f"cold: {name}: p99 {alone[-1]:.1f} ms alone, {mixed[-1]:.1f} ms mixed", file=sys.stderr)
            finally:
                seed.stop()
        if mixed:
            ratios = [with_cold / without for with_cold, without in zip(mixed, alone)]
            rows.append([name, spread(alone, "{:.1f}"), spread(mixed, "{:.1f}"), spread(ratios), spread(shares, "{:.0f}"), spread(disk, "{:.0f}")])
    table("Eight warm peers, then four more that ask for a file which is dropped from the page cache all the time:",
          ["", "p99 ms alone", "p99 ms with cold peers", "ratio", "cold MB/s", "read from disk MB"], rows)


def run_idle(arguments, names, file, torrent, work):
    rows = []
    for name in names:
        try:
            seed = seeds.start(name, [torrent], os.path.dirname(file), work, SEED_CORE, arguments.build_rqbit)
        except seeds.Missing as missing:
            print(f"LEFT OUT: {name}: {missing}", file=sys.stderr)
            continue
        try:
            cell = load(arguments, "idle", address(seed), torrent[0], "-c", arguments.idle, "--patience", 15, "--newcomers", 10, "--seconds", 5, *watched(seed))
        finally:
            seed.stop()
        ms = ["-" if cell["first_block_ms"][q] is None else f"{cell['first_block_ms'][q]:.2f}" for q in ("p50", "max")]
        rows.append([name, f"{cell['open']} of {cell['connections']}", f"{cell['anonymous_kib_each']:.1f}", f"{cell['rss_kib_each']:.1f}",
                     f"{cell['idle_cpu'] * 100:.1f}", f"{cell['newcomers_served']} of {cell['newcomers']}", *ms])
    table("Idle peers, and a new one's way from dialling to its first block:",
          ["", "open", "KiB RssAnon each", "KiB RSS each", "CPU %", "newcomers served", "first block ms, median", "most"], rows)


def random_file(path, mib):
    if not os.path.exists(path) or os.path.getsize(path) != mib << 20:
        with open(path, "wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="ours,nginx,rtorrent,libtorrent,rqbit", help="which, in which order")
    parser.add_argument("--connections", default="1,8,64,512")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="length of a window")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--idle", type=int, default=10_000, help="idle peers")
    parser.add_argument("--only", choices=["load", "cold", "idle"], help="one of the three parts")
    parser.add_argument("--tries", type=int, default=3, help="for a cell that something else disturbs")
    parser.add_argument("--nice", type=int, default=0, help="of seed and generator; -20 where something else runs")
    parser.add_argument("--data", help="keep the files here; default: a temporary folder")
    parser.add_argument("--build-rqbit", action="store_true", help="build rqbit, once (minutes)")
    parser.add_argument("--cells", help="write every cell to this file as JSON")
    arguments = parser.parse_args()
    arguments.connections = [int(n) for n in arguments.connections.split(",")]
    names = arguments.seeds.split(",")
    if unknown := [name for name in names if name not in seeds.SEEDS]:
        parser.error(f"no seed is called {', '.join(unknown)}; there are {', '.join(seeds.SEEDS)}")
    if not os.access(os.path.join(seeds.TARGET, "release", "load"), os.X_OK):
        sys.exit("no load generator: cargo build --release -p seeder -p load")
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the seed, one for the generator")
    seeds.NICE = arguments.nice
    # Ten thousand peers are ten thousand descriptors; what is started here inherits it.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < arguments.idle + 1000 and arguments.only in (None, "idle"):
        print(f"LEFT OUT: only {hard} files may be open: fewer idle peers", file=sys.stderr)
        arguments.idle = hard - 1000

    with tempfile.TemporaryDirectory() as work:
        data = arguments.data or os.path.join(work, "data")
        os.makedirs(data, exist_ok=True)

        def payload(name):
            file, torrent = os.path.join(data, name), os.path.join(work, f"{name}.torrent")
            random_file(file, arguments.mib)
            return file, (torrent, seeds.make_torrent(file, 1 << 20, torrent))

        file, torrent = payload("payload")
        began = time.strftime("%Y-%m-%d %H:%M")
        if arguments.only in (None, "load"):
            cells = run_load(arguments, list(names), file, torrent, work)
            cells = {name: by_n for name, by_n in cells.items() if any(by_n.values())}
            if arguments.cells:
                with open(arguments.cells, "w") as out:
                    json.dump(cells, out)
            report_load(arguments, list(cells), cells)
        peers = [name for name in names if name != "nginx"]
        if arguments.only in (None, "cold"):
            cold_file, cold_torrent = payload("cold")
            few = [name for name in peers if name in ("ours", "rtorrent", "libtorrent")]
            run_cold(arguments, few, file, torrent, cold_file, cold_torrent, work)
        if arguments.only in (None, "idle"):
            few = [name for name in peers if name in ("ours", "libtorrent")]
            run_idle(arguments, few, file, torrent, work)
        print(f"\nBegun {began}; {arguments.rounds} rounds, windows of {arguments.seconds:g} s.")


main()
