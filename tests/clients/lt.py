"""libtorrent for the tests: fetches, makes and shows torrents, and says what happened as one JSON line.

Runs under any libtorrent from 2.0.8 on. A fetch uses only what its torrent or magnet link names: no local discovery,
no peer exchange, no port mapping, and no DHT but the one that --dht-router leads to. Called by tests/src/clients/libtorrent.rs.
"""

import argparse
import json
import os
import sys
import time
import urllib.parse
import warnings

import libtorrent as lt

# 2.1 deprecates what has no other name in 2.0.
warnings.simplefilter("ignore", DeprecationWarning)

DEADLINE_S = 80


# How a fetch may reach its peers; by default as libtorrent does.
WAYS = {
    "default": {},
    "tcp-plain": {"enable_outgoing_utp": False, "out_enc_policy": 2},
    "tcp-encrypted": {"enable_outgoing_utp": False, "out_enc_policy": 0, "allowed_enc_level": 2},
    "utp-plain": {"enable_outgoing_tcp": False, "out_enc_policy": 2},
    "utp-encrypted": {"enable_outgoing_tcp": False, "out_enc_policy": 0, "allowed_enc_level": 2},
}


# A DHT whose nodes are all on this machine, entered by one node alone.
def dht_of(router):
    return {
        "enable_dht": True,
        "dht_bootstrap_nodes": router,
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_ignore_dark_internet": False,
        "dht_enforce_node_id": False,
        "dht_prefer_verified_node_ids": False,
    }


def fetch(args):
    session = lt.session(
        {
            "listen_interfaces": f"{args.address}:0",
            "outgoing_interfaces": args.address,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "alert_mask": lt.alert.category_t.error_notification
            | lt.alert.category_t.tracker_notification
            | lt.alert.category_t.status_notification
            | lt.alert.category_t.peer_notification
            | lt.alert.category_t.connect_notification
            | lt.alert.category_t.storage_notification
            | lt.alert.category_t.block_progress_notification,
            "alert_queue_size": 1_000_000,
            "auto_manage_interval": 1,
            "tick_interval": 50,
            "peer_connect_timeout": 5,
            **WAYS[args.way],
            **(dht_of(args.dht_router) if args.dht_router else {}),
        }
    )
    if args.source.startswith("magnet:"):
        params = lt.parse_magnet_uri(args.source)
    else:
        params = lt.add_torrent_params()
        params.ti = lt.torrent_info(args.source)
    params.save_path = args.save
    params.flags |= lt.torrent_flags.disable_pex
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags &= ~lt.torrent_flags.paused
    handle = session.add_torrent(params)

    log = []
    blocks_of = {}
    end = time.monotonic() + DEADLINE_S
    flushing = flushed = False
    next_lookup = time.monotonic()
    while not flushed:
        status = handle.status()
        if args.dht_router and time.monotonic() >= next_lookup:
            # By itself it looks again a quarter of an hour after a lookup that found no node yet.
            handle.force_dht_announce()
            next_lookup += 1
        for alert in session.pop_alerts():
            if isinstance(alert, lt.block_downloading_alert):
                # Asked for, not received: a quick torrent is complete before libtorrent tells of finished blocks.
                port = alert.ip[1]
                blocks_of[port] = blocks_of.get(port, 0) + 1
                continue
            if isinstance(alert, lt.block_finished_alert):
                continue
            # Pieces are hashed before they are written: only now is all of it on disk and counted.
            flushed = flushed or isinstance(alert, lt.cache_flushed_alert)
            log.append(f"{type(alert).__name__}: {alert.message()}")
            if isinstance(alert, (lt.hash_failed_alert, lt.torrent_error_alert, lt.file_error_alert)):
                fail("libtorrent reports an error", log, status)
        if status.is_seeding and not flushing:
            flushing = True
            handle.flush_cache()
        if time.monotonic() > end:
            fail("not complete in time", log, status)
        session.wait_for_alert(20)
    web_ports = {urllib.parse.urlsplit(url).port for url in handle.url_seeds()}
    web = sum(count for port, count in blocks_of.items() if port in web_ports)
    answer(
        {
            "blocks_of_peers": sum(blocks_of.values()) - web,
            "blocks_of_web_seeds": web,
            "bytes": status.total_wanted,
        }
    )


def ask(args):
    """Announces to the torrent's only tracker, then scrapes it; says what it answered."""
    session = lt.session(
        {
            "listen_interfaces": f"{args.address}:0",
            "outgoing_interfaces": args.address,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            # Otherwise it asks a loopback address for nothing but /announce.
            "ssrf_mitigation": False,
            "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.tracker_notification,
        }
    )
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(args.torrent)
    params.save_path = args.save
    # It is to ask, not to fetch.
    params.flags |= lt.torrent_flags.upload_mode
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags &= ~lt.torrent_flags.paused
    handle = session.add_torrent(params)
    log, peers, scraping = [], 0, False
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        for alert in session.pop_alerts():
            log.append(f"{type(alert).__name__}: {alert.message()}")
            if isinstance(alert, (lt.tracker_error_alert, lt.scrape_failed_alert)):
                fail("the tracker is refused or refuses", log, handle.status())
            if isinstance(alert, lt.tracker_reply_alert):
                peers += alert.num_peers
                if not scraping:
                    scraping = True
                    handle.scrape_tracker()
            if isinstance(alert, lt.scrape_reply_alert):
                answer({"peers": peers, "complete": alert.complete, "incomplete": alert.incomplete})
        session.wait_for_alert(20)
    fail("no answer in time", log, handle.status())


def dht(args):
    """A node of a DHT on this machine that others enter by; runs until it is killed."""
    session = lt.session(
        {
            "listen_interfaces": f"{args.address}:0",
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "alert_mask": lt.alert.category_t.status_notification,
            **dht_of(""),
        }
    )
    while True:
        for alert in session.pop_alerts():
            # The DHT has the port of uTP.
            if isinstance(alert, lt.listen_succeeded_alert) and "uTP" in alert.message():
                print(json.dumps({"event": "ready", "dht": f"{args.address}:{alert.port}"}), flush=True)
        session.wait_for_alert(1000)


def create(args):
    path = os.path.abspath(args.path)
    parent = os.path.dirname(path)
    if os.path.isfile(path):
        names = [os.path.basename(path)]
    else:
        names = []
        for folder, _, found in os.walk(path):
            names += [os.path.relpath(os.path.join(folder, name), parent) for name in found]
        # Sorted by path components: the order of BEP 52's file tree.
        names.sort(key=lambda name: [part.encode() for part in name.split(os.sep)])
    sized = [(name, os.path.getsize(os.path.join(parent, name))) for name in names]
    if hasattr(lt, "create_file_entry"):
        # 2.1; given its older file_storage, it writes hybrids that it refuses to read again.
        files = [lt.create_file_entry(name, size) for name, size in sized]
    else:
        files = lt.file_storage()
        for name, size in sized:
            files.add_file(name, size)
    flags = {
        "v1": lt.create_torrent.v1_only,
        "v2": lt.create_torrent.v2_only,
        "hybrid": 0,
    }[args.format]
    creator = lt.create_torrent(files, piece_size=args.piece_length, flags=flags)
    if args.private:
        creator.set_priv(True)
    for url in args.announce:
        creator.add_tracker(url, 0)
    for url in args.web_seed:
        creator.add_url_seed(url)
    lt.set_piece_hashes(creator, parent)
    with open(args.output, "wb") as out:
        out.write(lt.bencode(creator.generate()))
    describe(args.output)


def describe(path):
    info = lt.torrent_info(path)
    hashes = info.info_hashes()
    storage = info.files()
    pad = lt.file_storage.flag_pad_file
    listed = []
    for index in range(storage.num_files()):
        listed.append(
            {
                "path": storage.file_path(index),
                "bytes": storage.file_size(index),
                "pad": bool(storage.file_flags(index) & pad),
            }
        )
    answer(
        {
            "version": lt.version,
            "name": info.name(),
            "info_hash_v1": str(hashes.v1) if hashes.has_v1() else None,
            "info_hash_v2": str(hashes.v2) if hashes.has_v2() else None,
            "piece_length": info.piece_length(),
            "private": info.priv(),
            "files": listed,
            "trackers": [tracker.url for tracker in info.trackers()],
            "web_seeds": [seed["url"] for seed in info.web_seeds()],
        }
    )


def answer(value):
    print(json.dumps(value), flush=True)
    # Skips the session's slow farewell to trackers.
    os._exit(0)


def fail(reason, log, status):
    print(
        f"{reason}: state {status.state}, {status.total_done} of {status.total_wanted} bytes, "
        f"{status.num_peers} peers",
        file=sys.stderr,
    )
    for line in log[-40:]:
        print(f"  {line}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fetch")
    one.add_argument("source")
    one.add_argument("--save", required=True)
    one.add_argument("--address", required=True)
    one.add_argument("--way", choices=list(WAYS), default="default")
    one.add_argument("--dht-router", metavar="HOST:PORT")
    one = commands.add_parser("ask")
    one.add_argument("torrent")
    one.add_argument("--save", required=True)
    one.add_argument("--address", required=True)
    one = commands.add_parser("dht")
    one.add_argument("--address", required=True)
    one = commands.add_parser("create")
    one.add_argument("path")
    one.add_argument("--output", required=True)
    one.add_argument("--format", choices=["v1", "v2", "hybrid"], default="v1")
    one.add_argument("--piece-length", type=int, required=True)
    one.add_argument("--private", action="store_true")
    one.add_argument("--announce", "-a", action="append", default=[])
    one.add_argument("--web-seed", "-w", action="append", default=[])
    one = commands.add_parser("show")
    one.add_argument("torrent")
    args = parser.parse_args()
    if args.command == "fetch":
        fetch(args)
    elif args.command == "ask":
        ask(args)
    elif args.command == "dht":
        dht(args)
    elif args.command == "create":
        create(args)
    else:
        describe(args.torrent)


main()
