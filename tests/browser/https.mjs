// A site over TLS as Chromium sees it: `https.mjs PAGE PART`. The certificate is nobody's, so it is told to put up with
// that. Prints one JSON line: the page's title, what was answered to a range of PART, whether a WebSocket to the site's
// tracker opened, and what went wrong.

import { launch, watchProblems } from "./chromium.mjs";

const [page_url, part_url] = process.argv.slice(2);
const browser = await launch("--ignore-certificate-errors");
try {
  const page = await browser.newPage();
  const problems = watchProblems(page, new URL(page_url).origin);
  await page.goto(page_url);
  const title = await page.title();
  // A file that is no page has no policy of what it may ask for. It is shown beside the page, which may be fetching its
  // icon still: leaving it would break that off.
  const beside = await browser.newPage();
  const further = watchProblems(beside, new URL(page_url).origin);
  await beside.goto(new URL("feed.json", page_url).href);
  const seen = await beside.evaluate(async (url) => {
    const part = await fetch(url, { headers: { Range: "bytes=3-9" } });
    const bytes = (await part.arrayBuffer()).byteLength;
    const tracker = new URL("/announce", url);
    tracker.protocol = "wss:";
    const opened = await new Promise((resolve) => {
      const socket = new WebSocket(tracker);
      socket.addEventListener("open", () => resolve(true));
      socket.addEventListener("error", () => resolve(false));
    });
    return { status: part.status, bytes, opened };
  }, part_url);
  // A browser looks for an icon where a page names none.
  const told = [...problems, ...further].filter((problem) => !problem.includes("/favicon.ico"));
  console.log(JSON.stringify({ title, problems: told, ...seen }));
} finally {
  await browser.close();
}
