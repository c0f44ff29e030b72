"""Seeds that bench/serve.py measures: how each is installed, started with its limits open, and known to be ready.

Nothing is measured here. Every seed listens on 127.0.0.1 and is given the same torrents and the same folder.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TOOLS = os.path.join(ROOT, "target", "bench-tools")
NICE = 0
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))

LIBTORRENT = """
import json, sys, time, warnings
import libtorrent as lt
warnings.simplefilter("ignore", DeprecationWarning)
settings = lt.high_performance_seed()
settings.update({"listen_interfaces": "127.0.0.1:0", "unchoke_slots_limit": -1, "connections_limit": 15000,
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False, "alert_mask": 0})
session = lt.session(settings)
for torrent in sys.argv[2:]:
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = sys.argv[1]
    params.flags |= lt.torrent_flags.seed_mode
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    params.max_connections, params.max_uploads = 15000, 15000
    session.add_torrent(params)
while not session.listen_port():
    time.sleep(0.02)
print(json.dumps({"port": session.listen_port()}), flush=True)
while True:
    time.sleep(3600)
"""

RTORRENT = """
directory.default.set = {data}
session.path.set = {work}/rtorrent
network.port_range.set = {port}-{port}
network.bind_address.set = 127.0.0.1
network.max_open_sockets.set = 9000
network.max_open_files.set = 600
protocol.pex.set = no
dht.mode.set = disable
trackers.use_udp.set = no
throttle.global_up.max_rate.set_kb = 0
throttle.max_uploads.set = 9000
throttle.max_uploads.global.set = 9000
throttle.max_peers.normal.set = 9000
throttle.max_peers.seed.set = 9000
pieces.memory.max.set = 4096M
system.daemon.set = true
"""

NGINX = """
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ worker_connections 15000; }}
http {{ sendfile on; access_log off; keepalive_requests 1000000000; default_type application/octet-stream;
  client_body_temp_path {work}; proxy_temp_path {work}; fastcgi_temp_path {work}; uwsgi_temp_path {work}; scgi_temp_path {work};
  server {{ listen 127.0.0.1:{port} backlog=4096; root {data}; }} }}
"""

# What ours is told: no bound bites, as with the others.
OURS = """
[limits]
peers = 15000
"""


class Missing(Exception):
    """What a seed needs and isn't there, in one line."""


class Started:
    """A running seed: where it listens, and the processes that do the work."""

    def __init__(self, address, process, pids, web=False):
        self.address, self.process, self.pids, self.web = address, process, pids, web

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, (bytes, str)):
        value = value.encode() if isinstance(value, str) else value
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l%se" % b"".join(map(bencode, value))
    return b"d%se" % b"".join(bencode(key) + bencode(value[key]) for key in sorted(value))


def make_torrent(path, piece_length, out):
    """Writes a v1 torrent of one file; gives its info-hash."""
    pieces = b""
    with open(path, "rb") as file:
        while piece := file.read(piece_length):
            pieces += hashlib.sha1(piece).digest()
    info = {"length": os.path.getsize(path), "name": os.path.basename(path), "piece length": piece_length, "pieces": pieces}
    with open(out, "wb") as file:
        file.write(bencode({"info": info}))
    return hashlib.sha1(bencode(info)).digest()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serves(address, info_hash):
    """Whether a peer is met, shown a whole bitfield and unchoked."""
    try:
        with socket.create_connection(address, 5) as peer:
            peer.settimeout(5)
            stream = peer.makefile("rb")
            peer.sendall(b"\x13BitTorrent protocol" + bytes(8) + info_hash + b"-LG0001-ready-yet--?"[:20])
            if stream.read(68)[28:48] != info_hash:
                return False
            peer.sendall(b"\0\0\0\1\2")
            while head := stream.read(4):
                message = stream.read(int.from_bytes(head, "big"))
                if message[:1] == b"\1":
                    return True
    except OSError:
        pass
    return False


def wait_until(ready, process, what, patience=120):
    end = time.monotonic() + patience
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise Missing(f"{what} doesn't start serving (exit code {process.returncode})")
        time.sleep(0.1)


def launch(command, core, work, name, **more):
    log = open(os.path.join(work, f"{name}.log"), "ab")
    # Ours is asked for its ready line; what else there is goes to the log.
    command = ["nice", "-n", str(NICE), "taskset", "-c", str(core), *command]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, **{"stdout": log, **more})


def first_json(process):
    line = process.stdout.readline()
    if not line:
        raise Missing(f"{process.args[6]} ended with {process.wait()} before it was ready")
    return json.loads(line)


def find(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") or os.path.join(TOOLS, "bin", name)
    if not os.access(path, os.X_OK):
        raise Missing(f"{name} is not installed")
    return path


def apt(package, name):
    """A program of a Debian package, installed where that may be done."""
    try:
        return find(name)
    except Missing:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Missing(f"{name} is not installed: apt-get install {package}") from None
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update", "-qq"], **quiet)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], **quiet)
    try:
        return find(name)
    except Missing:
        raise Missing(f"{name} can't be installed: apt-get install {package} fails") from None


def libtorrent_python():
    """A Python with the newest libtorrent: the one that ./check made, or one of our own."""
    pythons = [os.path.join(ROOT, "target/check/venv/bin/python"), os.path.join(TOOLS, "venv/bin/python")]
    for python in pythons:
        if os.access(python, os.X_OK) and subprocess.run([python, "-c", "import libtorrent"], capture_output=True).returncode == 0:
            return python
    subprocess.run(["python3", "-m", "venv", os.path.join(TOOLS, "venv")], capture_output=True)
    done = subprocess.run([pythons[1], "-m", "pip", "install", "--quiet", "libtorrent==2.1.1"], capture_output=True)
    if done.returncode:
        raise Missing("libtorrent 2.1.1 can't be had from PyPI")
    return pythons[1]


def rqbit_program(build):
    """rqbit 9.1.0. Its build takes minutes, so it is only made when asked for."""
    try:
        return find("rqbit")
    except Missing:
        if not build:
            raise Missing("rqbit is not installed: --build-rqbit builds it, about five minutes on two cores") from None
    subprocess.run(["cargo", "install", "--quiet", "--locked", "--no-default-features", "--features", "rust-tls",
                    "--root", TOOLS, "rqbit@9.1.0"], check=False)
    return find("rqbit")


def ours(torrents, data, work, core, build):
    program = os.path.join(TARGET, "release", "seeder")
    if not os.access(program, os.X_OK):
        raise Missing("no release build of ours: cargo build --release -p seeder -p load")
    known = subprocess.run([program, "serve", "--help"], capture_output=True, text=True).stdout
    quiet = [flag for flag in ("--no-utp", "--no-dht", "--no-lsd", "--no-pex", "--no-port-mapping") if flag in known]
    config = os.path.join(work, "ours.toml")
    with open(config, "w") as file:
        file.write(OURS)
    process = launch([program, "serve", *(path for path, _ in torrents), "--data", data, "--http", "127.0.0.1:0", "--bind",
                      "127.0.0.1", "--peer-port", "0", "--json", "--config", config, *quiet], core, work, "ours", stdout=subprocess.PIPE)
    host, port = first_json(process)["peer"][0].rsplit(":", 1)
    return Started((host, int(port)), process, [process.pid])


def libtorrent(torrents, data, work, core, build):
    python = libtorrent_python()
    process = launch([python, "-W", "ignore", "-c", LIBTORRENT, data, *(path for path, _ in torrents)], core, work, "libtorrent",
                     stdout=subprocess.PIPE)
    return Started(("127.0.0.1", first_json(process)["port"]), process, [process.pid])


def rtorrent(torrents, data, work, core, build):
    program, port = apt("rtorrent", "rtorrent"), free_port()
    session = os.path.join(work, "rtorrent")
    shutil.rmtree(session, ignore_errors=True)
    os.makedirs(session)
    config = os.path.join(work, "rtorrent.rc")
    with open(config, "w") as file:
        file.write(RTORRENT.format(data=data, work=work, port=port))
    tracked = []
    for path, _ in torrents:
        # It takes no torrent without a tracker while its DHT is off.
        with open(path, "rb") as file, open(os.path.join(session, os.path.basename(path)), "wb") as out:
            out.write(b"d" + bencode("announce") + bencode("http://127.0.0.1:9/announce") + file.read()[1:])
        tracked.append(out.name)
    process = launch([program, "-n", "-o", f"import={config}", *tracked], core, work, "rtorrent")
    return Started(("127.0.0.1", port), process, [process.pid])


def rqbit(torrents, data, work, core, build):
    program, port = rqbit_program(build), free_port()
    process = launch([program, "-v", "error", "--disable-dht", "--disable-lsd", "--disable-trackers", "--disable-upnp-port-forward",
                      "--listen-ip", "127.0.0.1", "--listen-port", str(port), "--peer-limit", "4000",
                      "download", "--disable-http-api", "--overwrite", "-o", data, *(path for path, _ in torrents)], core, work, "rqbit")
    return Started(("127.0.0.1", port), process, [process.pid])


def nginx(torrents, data, work, core, build):
    program, port = apt("nginx-light", "nginx"), free_port()
    config = os.path.join(work, "nginx.conf")
    with open(config, "w") as file:
        file.write(("user root; " if os.geteuid() == 0 else "") + NGINX.format(data=data, work=work, port=port))
    process = launch([program, "-e", os.path.join(work, "nginx.log"), "-c", config], core, work, "nginx")

    def workers():
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            return [int(pid) for pid in file.read().split()]

    wait_until(lambda: workers() and not socket.socket().connect_ex(("127.0.0.1", port)), process, "nginx")
    return Started(("127.0.0.1", port), process, workers(), web=True)


SEEDS = {"ours": ours, "nginx": nginx, "rtorrent": rtorrent, "libtorrent": libtorrent, "rqbit": rqbit}


def start(name, torrents, data, work, core, build=False):
    """Starts a seed of `torrents`, pairs of path and info-hash, and waits until it serves all of them."""
    seed = SEEDS[name](torrents, data, work, core, build)
    if not seed.web:
        for _, info_hash in torrents:
            wait_until(lambda: serves(seed.address, info_hash), seed.process, name)
    return seed
