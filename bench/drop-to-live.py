"""Measures `publisher up`: from the close of a clip that is dropped into the folder to page, feed and torrent
being served. With --slow: asserts that no clip is published while its copy pauses.

    python3 bench/drop-to-live.py target/release/publisher            # 9 clips of 20 MB, medians
    python3 bench/drop-to-live.py target/release/publisher --slow     # four ways to copy slowly

Nothing but Python's standard library is needed. The folder is temporary, below --dir.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples/test-drive/test-drive.mp4"
MIB = 1 << 20


def boxes(data):
    """Type and bytes of each top-level box."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at : at + size]
        at += size


def clip(size):
    """A playable clip of this size, its index in front, unlike any other: a `free` box of noise at its end."""
    data = EXAMPLE.read_bytes()
    kinds = [kind for kind, _ in boxes(data)]
    assert kinds.index(b"moov") < kinds.index(b"mdat"), f"{EXAMPLE}: its index is not in front"
    room = size - len(data)
    return data + struct.pack(">I4s", room, b"free") + os.urandom(room - 8)


class Publisher:
    """`publisher up` on a folder of its own."""

    def __init__(self, program, above):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="drop-to-live-", dir=above))
        self.clips = self.folder / "clips"
        self.clips.mkdir()
        (self.clips / "channel.toml").write_text('title = "Drop to live"\n')
        self.state = self.clips / ".groundswell" / "state.json"
        command = [program, "up", str(self.clips), "--http", "127.0.0.1:0", "--peer-port", "0", "--json"]
        environment = os.environ | {"XDG_CONFIG_HOME": str(self.folder / "config")}
        self.log = open(self.folder / "log", "w+b")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=environment)
        self.events = []
        self.address = None
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "ready":
                self.address = event["http"].split("/")[2]
                break
        if self.address is None:
            raise SystemExit(f"it did not start: {(self.folder / 'log').read_text()}")
        threading.Thread(target=self.listen, daemon=True).start()
        self.connection = http.client.HTTPConnection(self.address)

    def listen(self):
        for line in self.process.stdout:
            self.events.append((time.monotonic(), json.loads(line)))

    def get(self, path):
        """The answer's body, or None where there is none of status 200."""
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        return body if answer.status == 200 else None

    def torrent_of(self, slug):
        """The id under which a release is seeded, by the state that the seeder reads."""
        try:
            state = json.loads(self.state.read_bytes())
        except FileNotFoundError:
            return None
        ids = (torrent["id"] for torrent in state["torrents"] if torrent["slug"] == slug and torrent["status"] == "public")
        return next(ids, None)

    def served(self, slug):
        """What of a release is served: page, feed that names it, torrent file, payload by the web seed."""
        found = set()
        page = self.get(f"/r/{slug}/")
        if page is not None:
            found.add("page")
        feed = self.get("/feed.xml")
        if feed is not None and f"/{slug}/".encode() in feed:
            found.add("feed")
        torrent = self.torrent_of(slug)
        if torrent is not None:
            if self.get(f"/t/{torrent}.torrent") is not None:
                found.add("torrent")
            self.connection.request("GET", f"/library/{torrent}/{slug}.mp4", headers={"Range": "bytes=0-15"})
            answer = self.connection.getresponse()
            if len(answer.read()) == 16 and answer.status == 206:
                found.add("payload")
        return found

    def waiting(self, name):
        """What was told of a clip that waits."""
        return [event["reason"] for _, event in self.events if event["event"] == "waiting" and event["source"] == name]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder)


PARTS = ("page", "feed", "torrent", "payload")


def until_served(publisher, slug, closed, patience=60):
    """Seconds from the close to each part being served."""
    times = {}
    while len(times) < len(PARTS):
        for part in publisher.served(slug):
            times.setdefault(part, time.monotonic() - closed)
        if time.monotonic() - closed > patience:
            raise SystemExit(f"{slug}: after {patience} s there is only {sorted(times)}")
        time.sleep(0.005)
    return times


def measure(publisher, number, size):
    figures = []
    for n in range(number + 1):
        data = clip(size)
        with open(publisher.clips / f"clip-{n}.mp4", "wb", buffering=0) as file:
            for at in range(0, size, MIB):
                file.write(data[at : at + MIB])
        times = until_served(publisher, f"clip-{n}", time.monotonic())
        if n > 0:  # The first one warms caches.
            figures.append(times)
        time.sleep(0.5)
    for part in PARTS:
        row = [times[part] for times in figures]
        print(f"{part:8} median {statistics.median(row):.3f} s  [{min(row):.3f}-{max(row):.3f}]")
    whole = [max(times.values()) for times in figures]
    median = statistics.median(whole)
    print(f"all      median {median:.3f} s  [{min(whole):.3f}-{max(whole):.3f}]  of {number} clips of {size / 1e6:.0f} MB")
    return median


def held(folder, name, data, pause):
    """By one descriptor that stays open."""
    with open(folder / name, "wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        pause()
        file.write(data[len(data) // 2 :])


def appended(folder, name, data, pause):
    """Closed in the middle, opened again to append."""
    with open(folder / name, "wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
    pause()
    with open(folder / name, "ab", buffering=0) as file:
        file.write(data[len(data) // 2 :])


def renamed(folder, name, data, pause):
    """Under a hidden name, as rsync does, then renamed."""
    hidden = folder / f".{name}.Xy12ab"
    with open(hidden, "wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
    pause()
    with open(hidden, "ab", buffering=0) as file:
        file.write(data[len(data) // 2 :])
    hidden.rename(folder / name)


def rewritten(folder, name, data, pause):
    """In place of what is published: truncated, then written anew by one descriptor."""
    with open(folder / name, "r+b", buffering=0) as file:
        file.truncate(0)
        file.write(data[: len(data) // 2])
        pause()
        file.write(data[len(data) // 2 :])


def slow(publisher, size, seconds):
    failures = 0
    for way in (held, appended, renamed, rewritten):
        slug = way.__name__
        name = f"{slug}.mp4"
        early = []
        before = None
        if way is rewritten:
            (publisher.clips / name).write_bytes(clip(size))
            until_served(publisher, slug, time.monotonic())
            before = publisher.torrent_of(slug)

        def pause():
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                has_page = publisher.get(f"/r/{slug}/") is not None
                if publisher.torrent_of(slug) != before or has_page != (before is not None):
                    early.append(time.monotonic())
                time.sleep(0.05)

        data = clip(size)
        way(publisher.clips, name, data, pause)
        closed = time.monotonic()
        while publisher.torrent_of(slug) == before:
            if time.monotonic() - closed > 60:
                raise SystemExit(f"{name}: it is not published after its end")
            time.sleep(0.005)
        times = until_served(publisher, slug, closed)
        is_whole = publisher.get(f"/library/{publisher.torrent_of(slug)}/{name}") == data
        verdict = "EARLY" if early else "in time" if is_whole else "NOT WHOLE"
        failures += verdict != "in time"
        told = publisher.waiting(name)
        print(f"{slug:10} {verdict}; served {max(times.values()):.2f} s after its end; told: {told or 'nothing'}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("publisher", help="the program")
    parser.add_argument("--slow", action="store_true", help="clips whose copy pauses in the middle")
    parser.add_argument("--clips", type=int, default=9, help="how many")
    parser.add_argument("--size", type=int, default=20_000_000, help="bytes of each")
    parser.add_argument("--pause", type=float, default=10, help="seconds")
    parser.add_argument("--dir", help="where the temporary folder is made")
    args = parser.parse_args()
    publisher = Publisher(args.publisher, args.dir)
    try:
        if args.slow:
            sys.exit(1 if slow(publisher, args.size, args.pause) else 0)
        measure(publisher, args.clips, args.size)
    finally:
        publisher.stop()


if __name__ == "__main__":
    main()
