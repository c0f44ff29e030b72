"""Trackers that bench/tracker.py measures: how each is installed, started with its limits open, and known to be ready.

Nothing is measured here. Every tracker listens on 127.0.0.1 and knows the same torrents. What is installed lies in
target/bench: aquatic (crates.io) built there, bittorrent-tracker (npm), and opentracker out of Debian's package.
"""

import glob
import importlib.util
import json
import os
import shutil
import subprocess
import socket

import seeds
from seeds import HERE, ROOT, TARGET, Missing, Started, first_json, free_port, launch, wait_until

TOOLS = os.path.join(ROOT, "target", "bench")
AQUATIC = "0.9.0"
NPM = "11.2.3"

# No bound bites, as with the others: addresses announce again and again, a thousand times as often as clients do.
OURS = """
tracker_threads = {workers}

[limits]
peers = 15000
http_connections = 19000
http_connections_per_address = 19000
tracker_peers = 1000000
tracker_peers_per_address = 4095
tracker_announces_per_address = 1000000
tracker_announce_burst = 1000000
tracker_announces = 100000000
tracker_offers = 100000000
tracker_offer_window_seconds = 0
websocket_messages = 1000000
websocket_description_bytes = 1000000000
"""

AQUATIC_UDP = """
socket_workers = {workers}
[network]
address = "127.0.0.1:{port}"
[protocol]
max_response_peers = 50
[cleaning]
max_connection_age = 3600
"""

# Without the cap it takes for a frame, five offers of 1,200 bytes fit by far.
AQUATIC_WS = """
socket_workers = {workers}
swarm_workers = {workers}
[network]
address = "127.0.0.1:{port}"
tcp_backlog = 4096
enable_tls = {tls}
tls_certificate_path = "{work}/cert.pem"
tls_private_key_path = "{work}/key.pem"
"""

OPENTRACKER = """
{workers}
listen.tcp_udp 127.0.0.1:{port}
access.whitelist /whitelist.txt
tracker.rootdir {root}
tracker.user {user}
"""

NODE = """
import Server from 'bittorrent-tracker/server'
const server = new Server({ udp: true, http: true, ws: true, stats: false })
server.on('error', error => { console.error(error); process.exit(1) })
server.on('warning', () => {})
server.listen(0, { http: '127.0.0.1', udp: '127.0.0.1', udp6: '::1' }, () => {
  console.log(JSON.stringify({ http: server.http.address().port, udp: server.udp4.address().port }))
})
"""


class Tracker(Started):
    """A running tracker: the ports of what it speaks, and the path of its websocket."""

    def __init__(self, process, udp=None, http=None, ws=None, wss=None, path="/announce"):
        super().__init__({"udp": udp, "http": http, "ws": ws, "wss": wss}, process, [process.pid])
        self.path = path

    def at(self, protocol):
        return f"127.0.0.1:{self.address[protocol]}"


def releases(folder, count):
    """A folder as `publisher build` leaves it, of so many small releases; their info-hashes."""
    spec = importlib.util.spec_from_file_location("releases", os.path.join(HERE, "idle-releases.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not os.path.exists(f"{folder}/state.json"):
        module.fill(folder, count)
    with open(f"{folder}/state.json", encoding="utf-8") as file:
        state = json.load(file)
    # As the others do it: whoever comes is introduced to others.
    for torrent in state["torrents"]:
        torrent["p2p"] = "always"
    with open(f"{folder}/state.json", "w", encoding="utf-8") as file:
        json.dump(state, file)
    return [torrent["info_hash_v1"] for torrent in state["torrents"]]


def certificate(work):
    """A certificate that nobody signed."""
    if not os.path.exists(f"{work}/cert.pem"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{work}/key.pem", "-out", f"{work}/cert.pem"], check=True, capture_output=True)


def aquatic(name):
    """A program of aquatic, built here once: about a minute each on two cores."""
    program = os.path.join(TOOLS, "bin", name)
    if not os.access(program, os.X_OK):
        # With its metrics, 0.9.0 doesn't compile any more.
        features = [] if name.endswith("load_test") else ["--no-default-features", "--features", "mimalloc"]
        subprocess.run(["cargo", "install", "--quiet", "--locked", *features, "--root", TOOLS, "--target-dir", os.path.join(TOOLS, "build"),
                        f"{name}@{AQUATIC}"], check=False)
    if not os.access(program, os.X_OK):
        raise Missing(f"{name} {AQUATIC} can't be built from crates.io")
    return program


# aquatic's load testers announce info-hashes of their own, which no tracker knows that tracks what it is told to. What
# makes these is replaced by what `tested_hash` makes as well.
TESTED = "InfoHash({{ let n = ({nth} as u32).wrapping_mul(0x9e37_79b1).to_be_bytes(); std::array::from_fn(|at| n[at % 4]) }})"
TESTERS = {
    "aquatic_udp_load_test": [("src/lib.rs", "InfoHash(bytes)", "{ use std::sync::atomic::{AtomicU32, Ordering}; static NTH: AtomicU32 = AtomicU32::new(0); "
                               "let nth = NTH.fetch_add(1, Ordering::Relaxed); " + TESTED.format(nth="nth") + " }")],
    "aquatic_http_load_test": [("src/main.rs", "InfoHash(rng.gen())", TESTED.format(nth="info_hashes.len()"))],
    # Ours takes browsers at the path that its torrents name.
    "aquatic_ws_load_test": [("src/main.rs", "InfoHash(rng.gen())", TESTED.format(nth="info_hashes.len()")),
                             ("src/network.rs", '"ws://{}:{}"', '"ws://{}:{}/announce"')],
}


def tested_hash(nth):
    return (nth * 0x9E3779B1 % 2**32).to_bytes(4, "big").hex() * 5


def tester(name):
    """A load tester of aquatic, built here once from its source of crates.io with other info-hashes."""
    program = os.path.join(TOOLS, "testers", "bin", name)
    if not os.access(program, os.X_OK):
        aquatic(name)
        home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
        found = glob.glob(os.path.join(home, "registry", "src", "*", f"{name}-{AQUATIC}"))
        if not found:
            raise Missing(f"the source of {name} is not in cargo's folder")
        source = os.path.join(TOOLS, "testers", name)
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(found[0], source)
        for path, theirs, known in TESTERS[name]:
            with open(os.path.join(source, path)) as file:
                text = file.read()
            if text.count(theirs) != 1:
                raise Missing(f"{name} makes {theirs} elsewhere")
            with open(os.path.join(source, path), "w") as file:
                file.write(text.replace(theirs, known))
        with open(os.path.join(source, "Cargo.toml"), "a") as file:
            file.write("\n[workspace]\n")
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", os.path.join(TOOLS, "testers"), "--target-dir", os.path.join(TOOLS, "build"),
                        "--path", source], check=False)
    if not os.access(program, os.X_OK):
        raise Missing(f"{name} can't be built with other info-hashes")
    return program


def npm():
    """A folder in which node finds bittorrent-tracker."""
    folder = os.path.join(TOOLS, "npm")
    if not os.path.isdir(os.path.join(folder, "node_modules", "bittorrent-tracker")):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "package.json"), "w") as file:
            json.dump({"private": True, "type": "module", "dependencies": {"bittorrent-tracker": NPM}}, file)
        done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, capture_output=True)
        if done.returncode:
            raise Missing(f"bittorrent-tracker {NPM} can't be had from npm")
    return folder


def opentracker():
    """opentracker out of its Debian package, without its service; it needs libowfat, which lies beside it."""
    folder = os.path.join(TOOLS, "opentracker")
    program = os.path.join(folder, "usr/bin/opentracker")
    if not os.access(program, os.X_OK):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "opentracker", "libowfat0"], cwd=folder, capture_output=True)
        for package in glob.glob(os.path.join(folder, "*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=False)
    if not os.access(program, os.X_OK):
        raise Missing("opentracker can't be had: apt-get download opentracker libowfat0")
    return program, {"LD_LIBRARY_PATH": os.pathsep.join(glob.glob(os.path.join(folder, "usr/lib/*")) + [os.path.join(folder, "lib")])}


def listens(port):
    with socket.socket() as probe:
        return not probe.connect_ex(("127.0.0.1", port))


def answers_udp(port):
    """Whether a connection id is given (BEP 15)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.connect(("127.0.0.1", port))
        try:
            probe.send(bytes.fromhex("00000417271019800000000001020304"))
            return len(probe.recv(64)) == 16
        except OSError:
            return False


def core_list(cores):
    return ",".join(map(str, cores))


def ours(folder, hashes, work, cores, workers):
    program = os.path.join(TARGET, "release", "seeder")
    if not os.access(program, os.X_OK):
        raise Missing("no release build of ours: cargo build --release -p seeder -p load")
    config = os.path.join(work, "ours.toml")
    with open(config, "w") as file:
        file.write(OURS.format(workers=workers))
    certificate(work)
    process = launch([program, "serve", folder, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--tls-cert", f"{work}/cert.pem", "--tls-key",
                      f"{work}/key.pem", "--bind", "127.0.0.1", "--peer-port", "0", "--udp-tracker-port", "0", "--webrtc-port", "0", "--json", "--quiet", "--config", config],
                     core_list(cores), work, "ours", stdout=subprocess.PIPE, env={**os.environ, "XDG_STATE_HOME": work, "XDG_RUNTIME_DIR": work})
    ready = first_json(process)

    def port(key):
        value = ready.get(key)
        value = value[0] if isinstance(value, list) and value else value
        return int(str(value).rstrip("/").rsplit(":", 1)[1]) if value else None

    return Tracker(process, udp=port("udp_tracker"), http=port("http"), ws=port("http"), wss=port("https"))


def aquatic_udp(folder, hashes, work, cores, workers):
    program, port, config = aquatic("aquatic_udp"), free_port(), os.path.join(work, "aquatic_udp.toml")
    with open(config, "w") as file:
        file.write(AQUATIC_UDP.format(workers=workers, port=port))
    process = launch([program, "-c", config], core_list(cores), work, "aquatic_udp")
    wait_until(lambda: answers_udp(port), process, "aquatic_udp")
    return Tracker(process, udp=port)


def aquatic_ws(folder, hashes, work, cores, workers, tls=False):
    program, port, config = aquatic("aquatic_ws"), free_port(), os.path.join(work, "aquatic_ws.toml")
    certificate(work)
    with open(config, "w") as file:
        file.write(AQUATIC_WS.format(workers=workers, port=port, work=work, tls=str(tls).lower()))
    process = launch([program, "-c", config], core_list(cores), work, "aquatic_ws")
    wait_until(lambda: listens(port), process, "aquatic_ws")
    return Tracker(process, **({"wss": port} if tls else {"ws": port}))


def aquatic_wss(*arguments):
    return aquatic_ws(*arguments, tls=True)


def opentracker_started(folder, hashes, work, cores, workers):
    (program, more), port, config = opentracker(), free_port(), os.path.join(work, "opentracker.conf")
    root = os.path.join(work, "opentracker")
    os.makedirs(root, exist_ok=True)
    # It gives its rights away and reads the list then.
    os.chmod(work, 0o755)
    with open(f"{root}/whitelist.txt", "w") as file:
        file.write("".join(f"{hash}\n" for hash in hashes))
    threads = f"listen.udp.workers {workers}" if workers > 1 else ""
    with open(config, "w") as file:
        file.write(OPENTRACKER.format(workers=threads, port=port, root=root, user="nobody"))
    process = launch([program, "-f", config], core_list(cores), work, "opentracker", env={**os.environ, **more})
    wait_until(lambda: listens(port) and answers_udp(port), process, "opentracker")
    return Tracker(process, udp=port, http=port)


def node(folder, hashes, work, cores, workers):
    script = os.path.join(npm(), "server.mjs")
    with open(script, "w") as file:
        file.write(NODE)
    program = shutil.which("node")
    if not program:
        raise Missing("node is not installed")
    process = launch([program, script], core_list(cores), work, "node", stdout=subprocess.PIPE)
    ports = first_json(process)
    return Tracker(process, udp=ports["udp"], http=ports["http"], ws=ports["http"], path="/")


TRACKERS = {"ours": ours, "aquatic_udp": aquatic_udp, "aquatic_ws": aquatic_ws, "aquatic_wss": aquatic_wss, "opentracker": opentracker_started, "bittorrent-tracker": node}


def start(name, folder, hashes, work, cores, workers=1):
    """Starts a tracker of `hashes` on these cores, with so many threads where it can be told."""
    return TRACKERS[name](folder, hashes, work, cores, workers)
