// Visits a published site as people do, with and without JavaScript: the index, every release, everything that plays.
// usage: node site.mjs BASE_URL; prints one JSON line. What is right or wrong about it is the caller's to say, except
// that something which never plays ends the script with an error.

import { launch, watchProblems } from "./chromium.mjs";

const base = new URL(process.argv[2]);
const PATIENCE = 45_000;

const browser = await launch();
try {
  const withScripts = await visit(true);
  const withoutScripts = await visit(false);
  console.log(JSON.stringify({ with_scripts: withScripts, without_scripts: withoutScripts }));
} finally {
  await browser.close();
}

/** @param {boolean} scripts */
async function visit(scripts) {
  const context = await browser.newContext({
    javaScriptEnabled: scripts,
    viewport: { width: 1280, height: 800 },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const problems = watchProblems(page, base.origin);
  await page.goto(base.href, { waitUntil: "load" });
  const index = await page.evaluate(() => ({
    title: document.title,
    heading: document.querySelector("h1")?.textContent?.trim() ?? "",
    releases: [...document.querySelectorAll("main a[href]")]
      .map((a) => /** @type {HTMLAnchorElement} */ (a).href)
      .filter((href) => new URL(href).pathname.includes("/r/")),
  }));
  const overflow = await overflowOnPhone(page);
  const releases = [];
  for (const url of new Set(index.releases)) {
    releases.push(await visitRelease(page, url));
  }
  await context.close();
  return { index: { ...index, overflow }, releases, problems };
}

/**
 * @param {import("playwright-core").Page} page
 * @param {string} url
 */
async function visitRelease(page, url) {
  await page.goto(url, { waitUntil: "load" });
  const found = await page.evaluate(() => {
    const hrefs = [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href") ?? "");
    return {
      title: document.title,
      heading: document.querySelector("h1")?.textContent?.trim() ?? "",
      magnets: hrefs.filter((href) => href.startsWith("magnet:?")).length,
      torrents: hrefs.filter((href) => /(^|\/)t\/[0-9a-f]{40}\.torrent$/.test(href)).length,
      files: hrefs.filter((href) => href.includes("library/")).length,
      chapters: document.querySelectorAll("[data-seek]").length,
      images: [...document.images].map((image) => ({
        src: image.getAttribute("src"),
        loaded: image.complete && image.naturalWidth > 0,
      })),
    };
  });
  const overflow = await overflowOnPhone(page);
  const media = await firstVisibleMedia(page);
  const played = media ? await play(page, media) : null;
  return { url, ...found, overflow, played };
}

/**
 * Pixels by which a page is wider than a small phone.
 * @param {import("playwright-core").Page} page
 */
async function overflowOnPhone(page) {
  const before = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 640 });
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  if (before) await page.setViewportSize(before);
  return overflow;
}

/** @param {import("playwright-core").Page} page */
async function firstVisibleMedia(page) {
  for (const candidate of await page.$$("video, audio")) {
    if (await candidate.isVisible()) return candidate;
  }
  return null;
}

/**
 * Plays, looks whether time, pictures and sound go on, seeks, and looks again. Conditions are looked at from here, not by
 * scripts in the page: there may be none.
 *
 * @param {import("playwright-core").Page} page
 * @param {import("playwright-core").ElementHandle} media
 */
async function play(page, media) {
  const state = () =>
    media.evaluate((node) => {
      const element = /** @type {HTMLVideoElement & { webkitAudioDecodedByteCount: number }} */ (node);
      return {
        element: element.localName,
        time: element.currentTime,
        duration: element.duration,
        width: element.videoWidth ?? 0,
        frames: element.getVideoPlaybackQuality?.().totalVideoFrames ?? 0,
        audio_bytes: element.webkitAudioDecodedByteCount,
        tracks: [...element.textTracks].map((track) => track.kind),
        controls: element.controls,
        ready: element.readyState,
        error: element.error?.message ?? null,
        paused: element.paused,
        seeking: element.seeking,
      };
    });

  /** @param {string} what @param {(now: Awaited<ReturnType<typeof state>>) => boolean} holds */
  const until = async (what, holds) => {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const now = await state();
      if (holds(now)) return now;
      if (now.error || Date.now() > end) throw new Error(`${page.url()}: ${what}: ${JSON.stringify(now)}`);
      await page.waitForTimeout(30);
    }
  };
  /** @param {Awaited<ReturnType<typeof state>>} from @param {string} what */
  const goesOn = (from, what) =>
    until(
      what,
      (now) =>
        now.time > from.time + 0.4 &&
        now.audio_bytes > from.audio_bytes &&
        (now.element === "audio" || now.frames > from.frames),
    );

  await media.scrollIntoViewIfNeeded();
  await media.evaluate((node) => void (/** @type {HTMLMediaElement} */ (node).play()));
  const started = await until("plays", (now) => now.time > 0.1 && !now.paused);
  const playing = await goesOn(started, "goes on");
  const target = playing.duration * 0.6;
  await media.evaluate((node, to) => {
    /** @type {HTMLMediaElement} */ (node).currentTime = to;
  }, target);
  const landed = await until("seek lands", (now) => !now.seeking && now.time >= target - 0.3 && now.ready >= 2);
  const after = await goesOn(landed, "goes on after the seek");
  await media.evaluate((node) => /** @type {HTMLMediaElement} */ (node).pause());
  return { ...after, target, landed: landed.time };
}
