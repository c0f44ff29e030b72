"""A libtorrent seed: `lt_seed.py TORRENT SAVE ADDRESS` serves the torrent's data below SAVE until it is killed. Prints one
JSON line once peers can come."""

import json
import sys
import time

import libtorrent as lt

torrent, save, address = sys.argv[1:]
session = lt.session(
    {
        "listen_interfaces": address + ":0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "allow_multiple_connections_per_ip": True,
        "alert_mask": lt.alert.category_t.error_notification,
    }
)
parameters = lt.add_torrent_params()
parameters.ti = lt.torrent_info(torrent)
parameters.save_path = save
handle = session.add_torrent(parameters)
# The data is hashed first.
while not handle.status().is_seeding or not session.listen_port():
    time.sleep(0.05)
print(json.dumps({"event": "ready", "peer": f"{address}:{session.listen_port()}"}), flush=True)
while True:
    time.sleep(3600)
