// What Chromium learns of itself at a STUN server: `stun.mjs HOST:PORT`. Prints one JSON line: the candidates it gathered,
// and what went wrong while it asked.

import { launch } from "./chromium.mjs";

const browser = await launch();
try {
  const page = await browser.newPage();
  const gathered = await page.evaluate(async (server) => {
    const connection = new RTCPeerConnection({ iceServers: [{ urls: `stun:${server}` }] });
    /** @type {{type: string | null, address: string | null, candidate: string}[]} */
    const candidates = [];
    /** @type {string[]} */
    const errors = [];
    connection.addEventListener("icecandidateerror", (event) => {
      errors.push(`${event.errorCode} ${event.errorText} (${event.url})`);
    });
    const done = new Promise((resolve) => {
      connection.addEventListener("icecandidate", ({ candidate }) => {
        if (!candidate?.candidate) resolve(undefined);
        else {
          const { type, address } = candidate;
          candidates.push({ type, address, candidate: candidate.candidate });
        }
      });
    });
    connection.createDataChannel("any");
    await connection.setLocalDescription();
    await done;
    connection.close();
    return { candidates, errors };
  }, process.argv[2]);
  console.log(JSON.stringify(gathered));
} finally {
  await browser.close();
}
