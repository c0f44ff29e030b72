#!/usr/bin/env python3
"""Trackers side by side under the same load: answers per CPU second, rate, latency, memory a peer; Markdown on stdout.

One tracker on core 0, the load generator (bench/load) on core 1, over loopback; every peer announces from an address of
127.0.0.0/8. The trackers take turns, A B C, A B C …, each started anew for each cell. Answers are compared per second of
the tracker's processor time, since the generator may be what limits the rate; ratios are those of one round. A cell
during which something else used the machine is measured again, up to --tries times; what stays noisy is counted.

    cargo build --release -p seeder -p load
    bench/tracker.py                                # everything, 5 rounds
    bench/tracker.py --rounds 1 --jobs udp,ws5 --trackers ours,aquatic_udp,aquatic_ws
    bench/tracker.py --load-testers                 # aquatic's own load testers against ours: no error allowed

What it needs it builds or fetches into target/bench: aquatic (crates.io), opentracker (Debian), bittorrent-tracker (npm).
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import seeds
import trackers

QUIET_CORES = 0.15
UDP = ["aquatic_udp", "opentracker", "bittorrent-tracker"]
HTTP = ["opentracker", "bittorrent-tracker"]
WS = ["aquatic_ws", "bittorrent-tracker"]

# What is measured: title, others beside ours, protocol, torrents (all or one), threads of the tracker, words for the generator.
JOBS = {
    "udp": ("UDP, 1,000 torrents", UDP, "udp", "all", 1, []),
    "udp-hot": ("UDP, one swarm", UDP, "udp", "one", 1, []),
    "udp-2": ("UDP, 1,000 torrents, two threads on both cores, which they share with the generator", ["aquatic_udp"], "udp", "all", 2, []),
    "udp-hot-2": ("UDP, one swarm, two threads on both cores, which they share with the generator", ["aquatic_udp"], "udp", "one", 2, []),
    "http": ("HTTP, 1,000 torrents, connections kept", HTTP, "http", "all", 1, ["--keep-alive"]),
    "http-hot": ("HTTP, one swarm, connections kept", HTTP, "http", "one", 1, ["--keep-alive"]),
    "http-close": ("HTTP, 1,000 torrents, a connection each", HTTP, "http", "all", 1, []),
    "ws0": ("WebSocket, 200 sockets, no offers", WS, "ws", "all", 1, []),
    "ws5": ("WebSocket, 200 sockets, 5 offers of 1,200 bytes", WS, "ws", "all", 1, ["--offers", 5]),
    "ws5-answered": ("WebSocket, 200 sockets, 5 offers of 1,200 bytes, each answered", WS, "ws", "all", 1, ["--offers", 5, "--answer"]),
}
HOLDS = {
    "hold": ("held open, plain", ["ours", "aquatic_ws", "bittorrent-tracker"], "ws", []),
    "hold-tls": ("held open, TLS", ["ours", "aquatic_wss"], "wss", ["--tls"]),
}
# aquatic's load testers: the protocol, and what differs from their own configuration.
TESTERS = {
    "aquatic_udp_load_test": ("udp", {"number_of_torrents": "1000", "number_of_peers": "100000"}),
    "aquatic_http_load_test": ("http", {"number_of_torrents": "1000", "enable_tls": "false", "weight_scrape": "1"}),
    # Where answers come fast it has no time to open all connections, and is not to wait for that.
    "aquatic_ws_load_test": ("wss", {"number_of_torrents": "1000", "num_connections_per_worker": "200", "weight_scrape": "1",
                                     "measure_after_max_connections_reached": "false"}),
}


def load(arguments, cores, *words):
    program = os.path.join(seeds.TARGET, "release", "load")
    command = ["nice", "-n", str(arguments.nice), "taskset", "-c", trackers.core_list(cores), program, "tracker", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"the load generator fails: {done.stderr}")
    return json.loads(done.stdout)


def quiet(cell):
    return cell["other_cpu_s"] / cell["seconds"] < QUIET_CORES


def spread(values, form="{:.2f}"):
    values = [value for value in values if value is not None]
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


def one_cell(arguments, name, job, lists, work):
    """One tracker, started, asked and stopped; again while something else runs."""
    _, _, protocol, torrents, workers, words = JOBS[job]
    for _ in range(arguments.tries):
        both = workers > 1
        tracker = trackers.start(name, lists["folder"], lists["hashes"], work, [0, 1] if both else [0], workers)
        if not tracker.address[protocol]:
            tracker.stop()
            raise seeds.Missing(f"speaks no {protocol}")
        # Those of Node would take minutes to meet everybody.
        few = ["--peers", arguments.few] if name == "bittorrent-tracker" and protocol != "ws" else []
        path = ["--path", tracker.path] if protocol == "ws" else []
        try:
            cell = load(arguments, [0, 1] if both else [1], protocol, tracker.at(protocol), "--hashes", lists[torrents], "--pid", tracker.pids[0],
                        "--seconds", arguments.seconds, *words, *few, *path)
        finally:
            tracker.stop()
        if quiet(cell):
            break
    return cell


def run_jobs(arguments, names, lists, work):
    """cells[job][name] = one report a round"""
    cells = {job: {} for job in arguments.jobs if job in JOBS}
    missing = set()
    for turn in range(arguments.rounds):
        for job in cells:
            for name in ["ours", *JOBS[job][1]]:
                if name not in names or (name, job) in missing:
                    continue
                try:
                    cell = one_cell(arguments, name, job, lists, work)
                except seeds.Missing as why:
                    print(f"LEFT OUT: {name}, {job}: {why}", file=sys.stderr)
                    missing.add((name, job))
                    continue
                cells[job].setdefault(name, []).append(cell)
                counts = cell["counts"]
                print(f"round {turn + 1} {job} {name}: {cell['answers_per_cpu_s'] or 0:.0f} a CPU s, {cell['answers_per_s']:.0f} a s, "
                      f"{counts['failures']} failures, {counts['lost']} lost{'' if quiet(cell) else ', NOISY'}", file=sys.stderr)
    return cells


def report_job(job, by_name):
    title, _, protocol, *_ = JOBS[job]
    rows = []
    for name, took in by_name.items():
        if "ours" in by_name and name != "ours":
            ratios = [ours["answers_per_cpu_s"] / cell["answers_per_cpu_s"] for ours, cell in zip(by_name["ours"], took)
                      if ours["answers_per_cpu_s"] and cell["answers_per_cpu_s"]]
            ratio = spread(ratios)
        else:
            ratio = "-"
        counts = [cell["counts"] for cell in took]
        relayed = spread([count["offers_relayed"] / cell["seconds"] for count, cell in zip(counts, took)], "{:.0f}") if protocol == "ws" else None
        each = spread([cell["memory"]["anonymous_bytes_each"] for cell in took], "{:.0f}") if protocol == "udp" else None
        rows.append([name, spread([cell["answers_per_cpu_s"] for cell in took], "{:.0f}"), ratio,
                     spread([cell["answers_per_s"] for cell in took], "{:.0f}"),
                     *([spread([count["peers_per_answer"] for count in counts], "{:.1f}")] if protocol != "ws" else [relayed]),
                     spread([cell["latency_ms"]["p50"] for cell in took]), spread([cell["latency_ms"]["p99"] for cell in took]),
                     f"{sum(count['failures'] for count in counts)}, {sum(count['lost'] for count in counts)}",
                     *([each] if each else []), f"{sum(map(quiet, took))} of {len(took)}"])
    columns = ["", "answers per CPU s", "ours ÷ this, same round", "answers a second", "offers relayed a second" if protocol == "ws" else "peers in an answer",
               "p50 ms", "p99 ms", "failures, lost", *(["own memory a peer, B"] if protocol == "udp" else []), "quiet"]
    table(f"{title}:", columns, rows)


def run_holds(arguments, names, lists, work):
    rows = []
    for hold in (hold for hold in arguments.jobs if hold in HOLDS):
        title, those, protocol, words = HOLDS[hold]
        for name in those:
            if name not in names:
                continue
            try:
                tracker = trackers.start(name, lists["folder"], lists["hashes"], work, [0])
            except seeds.Missing as why:
                print(f"LEFT OUT: {name}, {hold}: {why}", file=sys.stderr)
                continue
            try:
                cell = load(arguments, [1], "hold", tracker.at(protocol), "--hashes", lists["all"], "--pid", tracker.pids[0], "-c", arguments.sockets,
                            "--seconds", arguments.hold_seconds, "--patience", 120, "--path", tracker.path, *words)
            finally:
                tracker.stop()
            memory, all_ = cell["memory"], cell["connections"]
            print(f"{hold} {name}: {memory['anonymous_bytes_each'] / 1024:.2f} KiB each, {cell['cpu_s']:.2f} CPU s in {cell['seconds']:.0f} s", file=sys.stderr)
            rows.append([f"{name}, {title}", f"{all_['open']} of {all_['all']}", f"{memory['anonymous_bytes_each'] / 1024:.2f}", f"{memory['rss_bytes_each'] / 1024:.2f}",
                         f"{cell['answers_per_s']:.0f}", f"{100 * cell['cpu_s'] / cell['seconds']:.1f}", f"{cell['latency_ms']['p99'] or 0:.1f}", f"{cell['come_s']:.1f}"])
    if rows:
        table(f"{arguments.sockets} websockets, each of which announces every 120 s:",
              ["", "open", "KiB RssAnon each", "KiB RSS each", "answers a second", "CPU %", "p99 ms", "all there after s"], rows)


def run_testers(arguments, work):
    """aquatic's load testers against ours, which knows the torrents that they announce; what they report as errors."""
    folder = os.path.join(work, "tested")
    trackers.releases(folder, arguments.torrents)
    state = os.path.join(folder, "state.json")
    with open(state, encoding="utf-8") as file:
        listed = json.load(file)
    # The tracker believes the state; nobody fetches anything here.
    for nth, torrent in enumerate(listed["torrents"]):
        torrent["id"] = torrent["info_hash_v1"] = trackers.tested_hash(nth)
    listed["torrents"].sort(key=lambda torrent: torrent["id"])
    listed["releases"] = []
    with open(state, "w", encoding="utf-8") as file:
        json.dump(listed, file)
    rows, failed = [], False
    for name, (protocol, differs) in TESTERS.items():
        try:
            program = trackers.tester(name)
        except seeds.Missing as why:
            print(f"LEFT OUT: {name}: {why}", file=sys.stderr)
            failed = True
            continue
        config = subprocess.run([program, "-p"], capture_output=True, text=True, check=True).stdout
        tracker = trackers.start("ours", folder, None, work, [0])
        differs = {**differs, "server_address": f'"{tracker.at(protocol)}"', "duration": str(arguments.tester_seconds)}
        for key, value in differs.items():
            config, found = re.subn(rf"^{key} = .*$", f"{key} = {value}", config, flags=re.M)
            if not found:
                sys.exit(f"{name} has no {key} in its configuration")
        with open(os.path.join(work, f"{name}.toml"), "w") as file:
            file.write(config)
        try:
            command = ["taskset", "-c", "1", program, "-c", file.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 10 * arguments.tester_seconds)
        finally:
            tracker.stop()
        told = done.stdout + done.stderr
        responses = {kind: [float(n) for n in re.findall(rf"- {kind} responses: +([0-9.]+)", told)] for kind in ("Announce", "Scrape", "Offer", "Answer", "Error", "Failure")}
        # The port is a random number too, and one in 65,536 is 0, which nobody can listen on.
        refused = [why for why in re.findall(r"reason: (.*)", told) if "port" not in why]
        errors = [] if name == "aquatic_http_load_test" else responses["Error"]
        if done.returncode or refused or any(errors) or not any(responses["Announce"]):
            failed = True
            print(f"{name} ended with {done.returncode}; {refused[:5]}, errors a second: {errors}\n{told[-3000:]}", file=sys.stderr)
        rows.append([name, *(f"{kind.lower()} {statistics.median(found):.0f}/s" for kind, found in responses.items() if found)])
    for row in rows:
        print(" | ".join(row))
    if failed:
        sys.exit("the load testers are not content")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trackers", default="ours,aquatic_udp,aquatic_ws,aquatic_wss,opentracker,bittorrent-tracker")
    parser.add_argument("--jobs", default=",".join([*JOBS, *HOLDS]), help="which of these, in which order")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="length of a window")
    parser.add_argument("--torrents", type=int, default=1000)
    parser.add_argument("--few", type=int, default=20_000, help="peers of bittorrent-tracker over UDP and HTTP, which takes long to meet them")
    parser.add_argument("--sockets", type=int, default=18_000, help="websockets held open")
    parser.add_argument("--hold-seconds", type=float, default=30)
    parser.add_argument("--tries", type=int, default=3, help="for a cell that something else disturbs")
    parser.add_argument("--nice", type=int, default=0, help="of tracker and generator; -20 where something else runs")
    parser.add_argument("--load-testers", action="store_true", help="only aquatic's load testers against ours")
    parser.add_argument("--tester-seconds", type=int, default=20)
    parser.add_argument("--cells", help="write every cell to this file as JSON")
    arguments = parser.parse_args()
    arguments.jobs, names = arguments.jobs.split(","), arguments.trackers.split(",")
    if unknown := [job for job in arguments.jobs if job not in {**JOBS, **HOLDS}]:
        parser.error(f"no job is called {', '.join(unknown)}; there are {', '.join([*JOBS, *HOLDS])}")
    if not os.access(os.path.join(seeds.TARGET, "release", "load"), os.X_OK):
        sys.exit("no load generator: cargo build --release -p seeder -p load")
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the tracker, one for the generator")
    seeds.NICE = arguments.nice
    # What is started here inherits it.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < arguments.sockets + 1000:
        print(f"LEFT OUT: only {hard} files may be open: fewer sockets", file=sys.stderr)
        arguments.sockets = hard - 1000

    began = time.strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory() as work:
        if arguments.load_testers:
            run_testers(arguments, work)
            return
        hashes = trackers.releases(os.path.join(work, "out"), arguments.torrents)
        lists = {"folder": os.path.join(work, "out"), "hashes": hashes}
        for name, some in (("all", hashes), ("one", hashes[:1])):
            lists[name] = os.path.join(work, name)
            with open(lists[name], "w") as file:
                file.write("\n".join(some))
        cells = run_jobs(arguments, names, lists, work)
        if arguments.cells:
            with open(arguments.cells, "w") as out:
                json.dump(cells, out)
        for job, by_name in cells.items():
            if by_name:
                report_job(job, by_name)
        run_holds(arguments, names, lists, work)
    print(f"\nBegun {began}; {arguments.rounds} rounds, windows of {arguments.seconds:g} s.")


main()
