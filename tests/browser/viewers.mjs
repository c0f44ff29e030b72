// Two viewers in Chromium with the official webtorrent bundle: `viewers.mjs SITE TRACKER TORRENT WEB_SEED`. The first gets
// the torrent by its web seed and stays; the second knows nothing but the info-hash and the tracker, so whatever it gets, it
// gets from the first. Prints one JSON line: what each saw.

import { readFile } from "node:fs/promises";
import { launch } from "./chromium.mjs";

const [site, tracker, torrent, webSeed] = process.argv.slice(2);
const bundle = await readFile(new URL("node_modules/webtorrent/dist/webtorrent.min.js", import.meta.url));

// On this machine alone: without these Chromium has no address to offer, and takes a page that isn't on the site for one
// from far away.
const browser = await launch(
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
);
try {
  const context = await browser.newContext();
  // Pages of the site's own origin that aren't on the site.
  await context.route("**/viewer/*", (route) =>
    route.request().url().endsWith(".js")
      ? route.fulfill({ contentType: "text/javascript", body: bundle })
      : route.fulfill({ contentType: "text/html", body: "<!doctype html><title>viewer</title>" }),
  );

  /**
   * @param {string} wanted The torrent's URL, or its info-hash.
   * @param {string | null} webSeed
   */
  async function viewer(wanted, webSeed) {
    const page = await context.newPage();
    await page.goto(new URL("/viewer/page", site).href);
    const seen = await page.evaluate(
      async ({ wanted, tracker, webSeed }) => {
        const { default: WebTorrent } = await import("/viewer/bundle.js");
        const client = new WebTorrent({ tracker: { rtcConfig: { iceServers: [] } } });
        /** @type {string[]} */
        const warnings = [];
        client.on("error", (/** @type {Error} */ error) => warnings.push(`error: ${error.message}`));
        const bytes = wanted.startsWith("http") ? await (await fetch(wanted)).arrayBuffer() : null;
        const torrent = client.add(bytes ? new Uint8Array(bytes) : { infoHash: wanted }, { announce: [tracker] });
        torrent.on("warning", (/** @type {Error} */ error) => warnings.push(error.message));
        /** @type {string[]} */
        const wires = [];
        torrent.on("wire", (/** @type {{type: string}} */ wire) => wires.push(wire.type));
        const announced = new Promise((resolve) => torrent.on("trackerAnnounce", resolve));
        if (webSeed) torrent.on("ready", () => torrent.addWebSeed(webSeed));
        await new Promise((resolve) => torrent.on("done", resolve));
        await announced;
        const content = new Uint8Array(await (await torrent.files[0].blob()).arrayBuffer());
        return {
          infoHash: torrent.infoHash,
          content: Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", content))),
          length: content.length,
          wires,
          warnings,
        };
      },
      { wanted, tracker, webSeed },
    );
    return { ...seen, content: Buffer.from(seen.content).toString("hex") };
  }

  const first = await viewer(torrent, webSeed);
  const second = await viewer(first.infoHash, null);
  console.log(JSON.stringify({ first, second }));
} finally {
  await browser.close();
}
