"""One libtorrent peer of bench/swarm.py, in a network namespace of its own; prints one JSON object a line.

    leecher.py leech|seed|super TORRENT FOLDER ADDRESS:PORT SEED_ADDRESS PEER:PORT…

A leecher tells which pieces it has as they come (`{"t": …, "pieces": […], "from_seed": …}`), and how it ended
(`{"done": …, "wasted": …}`); times are of the machine's monotonic clock. It stays and serves until it is stopped.
"""

import json
import sys
import time
import warnings

import libtorrent as lt

warnings.simplefilter("ignore", DeprecationWarning)

role, torrent, folder, address, seed_address = sys.argv[1:6]
peers = [(peer.rsplit(":", 1)[0], int(peer.rsplit(":", 1)[1])) for peer in sys.argv[6:]]


def tell(**what):
    print(json.dumps(what), flush=True)


session = lt.session({
    "listen_interfaces": address, "outgoing_interfaces": address.rsplit(":", 1)[0],
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False, "alert_mask": 0,
})
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = folder
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
if role != "leech":
    params.flags |= lt.torrent_flags.seed_mode
if role == "super":
    params.flags |= lt.torrent_flags.super_seeding
handle = session.add_torrent(params)
while not session.listen_port():
    time.sleep(0.02)
tell(ready=session.listen_port())
if role != "leech":
    while True:
        time.sleep(3600)

sys.stdin.readline()
for peer in peers:
    handle.connect_peer(peer)
had, from_seed, done = set(), {}, False
while True:
    status = handle.status()
    for peer in handle.get_peer_info():
        if peer.ip[0] == seed_address:
            from_seed[peer.ip[1]] = max(from_seed.get(peer.ip[1], 0), peer.payload_downloaded if hasattr(peer, "payload_downloaded") else peer.total_download)
    have = {index for index, there in enumerate(status.pieces) if there} if not status.is_seeding else set(range(params.ti.num_pieces()))
    if have - had:
        tell(t=time.monotonic(), pieces=sorted(have - had), from_seed=sum(from_seed.values()))
        had = have
    if status.is_seeding and not done:
        done = True
        tell(done=time.monotonic(), wasted=status.total_failed_bytes + status.total_redundant_bytes, from_seed=sum(from_seed.values()))
    time.sleep(0.05 if not done else 0.5)
