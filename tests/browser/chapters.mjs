// Clicks the chapters of a release's page. usage: node chapters.mjs PAGE_URL; prints, per chapter, where it should lead and
// where the player stands after the click.

import { launch, watchProblems } from "./chromium.mjs";

const url = new URL(process.argv[2]);
const browser = await launch();
try {
  const page = await browser.newPage();
  const problems = watchProblems(page, url.origin);
  await page.goto(url.href, { waitUntil: "load" });
  const chapters = [];
  for (const link of await page.$$("[data-seek]")) {
    const wanted = Number(await link.getAttribute("data-seek"));
    await link.click();
    const handle = await page.waitForFunction(
      (to) => {
        const media = /** @type {HTMLMediaElement | null} */ (document.querySelector("video, audio"));
        const there = media && !media.seeking && media.readyState >= 2 && Math.abs(media.currentTime - to) < 2;
        return there ? { time: media.currentTime } : null;
      },
      wanted,
      { timeout: 30_000 },
    );
    chapters.push({ wanted, ...(await handle.jsonValue()) });
  }
  console.log(JSON.stringify({ chapters, still_here: page.url().split("#")[0] === url.href, problems }));
} finally {
  await browser.close();
}
