// Two npm bittorrent-tracker clients with a real WebRTC under Node: `tracker-clients.mjs TRACKER INFO_HASH FOREIGN_HASH`. They
// meet through the tracker, speak over a data channel, scrape, complete and leave; a third asks for a torrent that isn't
// tracked. Prints one JSON line: what they saw.

import Client from "bittorrent-tracker";

const [tracker, infoHash, foreign] = process.argv.slice(2);

/** @type {Record<string, number>} */
const left = { ada: 1000, bob: 1000, eve: 1000 };

/**
 * @param {string} name
 * @param {string} hash
 */
function open(name, hash) {
  const client = new Client({
    infoHash: hash,
    peerId: Buffer.from(`-WW0208-${name.padEnd(12, "-")}`),
    // Clients of one process share a socket to one URL.
    announce: [`${tracker}?${name}`],
    port: 6881,
    rtcConfig: { iceServers: [] },
    getAnnounceOpts: () => ({ uploaded: 0, downloaded: 0, left: left[name], numwant: 5 }),
  });
  client.on("error", (/** @type {Error} */ error) => {
    throw error;
  });
  return client;
}

/**
 * @param {import("events").EventEmitter} emitter
 * @param {string} event
 * @returns {Promise<any>}
 */
const next = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

/** @type {string[]} */
const warnings = [];
const [ada, bob] = ["ada", "bob"].map((name) => open(name, infoHash));
for (const client of [ada, bob]) client.on("warning", (/** @type {Error} */ warning) => warnings.push(warning.message));

const alone = next(ada, "update");
ada.start();
const first = await alone;
const [adasPeer, bobsPeer] = [next(ada, "peer"), next(bob, "peer")];
const joined = next(bob, "update");
bob.start();
const second = await joined;
const peers = await Promise.all([adasPeer, bobsPeer]);
const heard = Promise.all(peers.map((peer) => next(peer, "data")));
for (const peer of peers) {
  if (!peer.connected) await next(peer, "connect");
  peer.send("hello");
}
const words = (await heard).map((bytes) => new TextDecoder().decode(bytes));

const scraped = next(bob, "scrape");
bob.scrape();
const scrape = await scraped;
const completed = next(bob, "update");
left.bob = 0;
bob.complete();
const after = await completed;

const stranger = open("eve", foreign);
const refused = next(stranger, "warning");
stranger.start();
const refusal = (await refused).message;

const leaving = next(ada, "update");
bob.stop();
ada.update();
const last = await leaving;
const counts = (/** @type {any} */ data) => ({ complete: data.complete, incomplete: data.incomplete, interval: data.interval });
console.log(
  JSON.stringify({
    first: counts(first),
    second: counts(second),
    after: counts(after),
    last: counts(last),
    scrape: { complete: scrape.complete, incomplete: scrape.incomplete, downloaded: scrape.downloaded },
    words,
    refusal,
    warnings,
  }),
);
process.exit(0);
