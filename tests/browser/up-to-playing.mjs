// How long from the start of `publisher up` until Chromium shows the first frame of the page? The browser runs already, as
// the reader's does; clips and output are fresh in each run.
// usage: node up-to-playing.mjs --publisher BIN [--clips DIR] [--runs N]; prints one JSON line, milliseconds.

import { spawn } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { launch } from "./chromium.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { values } = parseArgs({
  options: {
    publisher: { type: "string", default: join(root, "target/release/publisher") },
    clips: { type: "string", default: join(root, "examples/test-drive") },
    runs: { type: "string", default: "5" },
  },
});

const browser = await launch();
const runs = [];
try {
  for (let n = 0; n < Number(values.runs); n += 1) runs.push(await once());
} finally {
  await browser.close();
}
const sorted = runs.map((run) => run.first_frame_ms).sort((a, b) => a - b);
console.log(
  JSON.stringify({
    clips: values.clips,
    first_frame_ms: {
      median: sorted[Math.floor(sorted.length / 2)],
      min: sorted[0],
      max: sorted.at(-1),
    },
    runs,
  }),
);

async function once() {
  const folder = await mkdtemp(join(tmpdir(), "groundswell-bench-"));
  const clips = join(folder, "clips");
  await cp(values.clips, clips, { recursive: true, filter: (path) => !path.endsWith(".groundswell") });
  const context = await browser.newContext();
  const page = await context.newPage();
  const start = performance.now();
  const publisher = spawn(
    values.publisher,
    ["up", clips, "--out", join(folder, "out"), "--http", "127.0.0.1:0", "--peer-port", "0", "--json"],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, XDG_CONFIG_HOME: join(folder, "config") } },
  );
  const ended = new Promise((resolve) => publisher.once("exit", resolve));
  try {
    const base = await ready(publisher);
    const ready_ms = Math.round(performance.now() - start);
    await page.goto(base, { waitUntil: "commit" });
    await page.click("main a[href*='r/']");
    await page.waitForSelector("video", { state: "attached" });
    await page.evaluate(async () => {
      const video = /** @type {HTMLVideoElement} */ (document.querySelector("video"));
      const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
      await video.play();
      await shown;
    });
    return { ready_ms, first_frame_ms: Math.round(performance.now() - start) };
  } finally {
    publisher.kill("SIGTERM");
    await ended;
    await context.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** @param {import("node:child_process").ChildProcess} publisher @returns {Promise<string>} */
async function ready(publisher) {
  for await (const line of createInterface({ input: /** @type {import("node:stream").Readable} */ (publisher.stdout) })) {
    const event = JSON.parse(line);
    if (event.event === "ready") return event.http;
  }
  throw new Error("publisher ended before it was ready");
}
