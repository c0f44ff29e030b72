#!/usr/bin/env python3
"""How the publisher bears many releases: a cold build, a build without a change, a build after one change, each as a
process of its own, with its peak memory; then the same change while `publisher watch` runs.

    bench/scale.py [--publisher target/release/publisher] [--releases 10000] [--runs 3]

Each release is a small MP3 (other bytes in each) with a page text. Everything lies in a temporary folder.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

# One MPEG-1 layer III frame of silence at 128 kbit/s and 44.1 kHz: header, then zeros.
FRAME = bytes([0xFF, 0xFB, 0x90, 0x64]) + bytes(413)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def clip(number, take=0):
    """About 12 KB that are an MP3 and no other's."""
    tag = f"groundswell scale {number} {take}".encode()
    frame = b"TXXX" + (len(tag) + 1).to_bytes(4, "big") + b"\0\0\0" + tag
    size = len(frame)
    head = b"ID3\x03\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    return head + frame + FRAME * 28


def fill(clips, releases):
    os.makedirs(clips)
    write(f"{clips}/channel.toml", b'title = "Ten thousand"\nbase_url = "https://example.org/"\n')
    for number in range(releases):
        write(f"{clips}/clip-{number:05}.mp3", clip(number))
        day = f"20{10 + number // 2000:02}-{1 + number // 160 % 12:02}-{1 + number % 28:02}"
        text = f'+++\ntitle = "Number {number}"\npublished = {day}\ntags = ["t{number % 7}"]\n+++\nWords about {number}.\n'
        write(f"{clips}/clip-{number:05}.md", text.encode())


def run(command, environment):
    """Seconds, processor seconds and peak memory in MiB of one process, and what it printed."""
    before = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed: {status}")
    return time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output


def row(name, runs):
    seconds = [r[0] for r in runs]
    cpu = [r[1] for r in runs]
    memory = max(r[2] for r in runs)
    print(
        f"| {name} | {statistics.median(seconds):.2f} [{min(seconds):.2f}-{max(seconds):.2f}] "
        f"| {statistics.median(cpu):.2f} | {memory:.0f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publisher", default="target/release/publisher")
    parser.add_argument("--releases", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="groundswell-scale-")
    environment = dict(os.environ, XDG_CONFIG_HOME=f"{folder}/home", GROUNDSWELL_FFMPEG="")
    try:
        clips, out = f"{folder}/clips", f"{folder}/out"
        fill(clips, options.releases)
        build = [options.publisher, "build", clips, "--out", out, "--json"]
        print(f"{options.releases} releases\n\n| run | seconds | CPU s | peak MiB |\n|---|---|---|---|")
        cold = []
        for _ in range(options.runs):
            shutil.rmtree(out, ignore_errors=True)
            cold.append(run(build, environment))
        row("cold build", cold)
        row("no change", [run(build, environment) for _ in range(options.runs)])
        one = []
        for take in range(options.runs):
            number = options.releases // 2 + take
            write(f"{clips}/.new", clip(number, take + 1))
            os.rename(f"{clips}/.new", f"{clips}/clip-{number:05}.mp3")
            one.append(run(build, environment))
        row("one clip changed", one)
        text = []
        for take in range(options.runs):
            number = options.releases // 3 + take
            with open(f"{clips}/clip-{number:05}.md", "a", encoding="utf-8") as file:
                file.write("More words.\n")
            text.append(run(build, environment))
        row("one page text changed", text)
        watched(options, environment, clips, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watched(options, environment, clips, out):
    """From the writer's close to page, index and catalog on disk, while `publisher watch` runs. An MP3 doesn't tell
    where it ends, so a new one has to rest for two seconds first; a page text rests for a quarter of one."""
    command = [options.publisher, "watch", clips, "--out", out, "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        for line in process.stdout:
            if json.loads(line).get("event") == "ready":
                break
        texts, drops = [], []
        for take in range(options.runs):
            number = options.releases // 4 + take
            page = f"{out}/site/r/clip-{number:05}/index.html"
            with open(f"{clips}/clip-{number:05}.md", "a", encoding="utf-8") as file:
                file.write(f"Said at take {take}.\n")
            texts.append(until(lambda: f"Said at take {take}." in read(page)))
            name = f"new-{take}"
            write(f"{clips}/{name}.mp3", clip(1_000_000 + take))
            drops.append(until(lambda: listed(out, name)))
        with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
            peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
        row("page text saved while watched, until the page is there", [(s, 0.0, peak) for s in texts])
        row("clip dropped while watched (2 s at rest), until index and catalog list it", [(s, 0.0, peak) for s in drops])
    finally:
        process.terminate()
        process.wait()


def until(holds):
    """Seconds until it holds."""
    start = time.monotonic()
    while not holds():
        time.sleep(0.005)
    return time.monotonic() - start


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def listed(out, slug):
    return f"r/{slug}/" in read(f"{out}/site/index.html") and f'"{slug}"' in read(f"{out}/site/catalog.json")


if __name__ == "__main__":
    main()
