// bittorrent-tracker (npm) as a client: `tracker-client.mjs URL INFO_HASH PEER_ID PORT`, hashes and ids in hex. It announces,
// scrapes, and says that it leaves. Prints one JSON line: the answers, the peers it was told of, and what it complained of.

import Client from "bittorrent-tracker/client";

const [announce, infoHash, peerId, port] = process.argv.slice(2);
const client = new Client({ announce, infoHash, peerId, port: Number(port) });
const peers = [];
const complaints = [];
const once = (event) => new Promise((resolve) => client.once(event, resolve));
client.on("peer", (peer) => typeof peer === "string" && peers.push(peer));
client.on("warning", (warning) => complaints.push(String(warning)));
client.on("error", (error) => complaints.push(String(error)));
// Whatever was complained of ends the wait too.
const next = (event) => Promise.race([once(event), once("warning"), once("error")]);

let answer = next("update");
client.start({ uploaded: 0, downloaded: 0, left: 1000 });
const announced = await answer;
answer = next("scrape");
client.scrape();
const scraped = await answer;
answer = next("update");
client.stop({ uploaded: 0, downloaded: 0, left: 1000 });
await answer;
const numbers = ({ complete, incomplete, downloaded, interval }) => ({ complete, incomplete, downloaded, interval });
console.log(JSON.stringify({ announced: numbers(announced), scraped: numbers(scraped), peers, complaints }));
client.destroy();
process.exit(0);
