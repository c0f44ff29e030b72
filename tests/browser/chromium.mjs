// Starts Chromium for the scripts beside this file: the installed one ($CHROMIUM or /usr/bin/chromium), headless, with an
// empty profile, and without the services that look for the outside world. Nothing else starts a browser.

import { chromium } from "playwright-core";

/**
 * @param {string[]} more Further arguments.
 * @returns {Promise<import("playwright-core").Browser>}
 */
export function launch(...more) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
      // Tests run as root in containers, where Chromium's own sandbox can't.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--mute-audio",
      ...more,
    ],
  });
}

/**
 * Collects whatever goes wrong on a page: console errors and warnings, uncaught exceptions, failed requests, error
 * statuses and requests to anybody but `origin`.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} origin
 */
export function watchProblems(page, origin) {
  /** @type {string[]} */
  const problems = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      problems.push(`console ${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== origin) {
      problems.push(`third party: ${request.url()}`);
    }
  });
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText;
    // A player gives up one range for another when somebody seeks or leaves, and a poster when it plays before that has
    // come. Pictures of pages are looked at on the pages.
    if (["media", "image"].includes(request.resourceType()) && why === "net::ERR_ABORTED") return;
    problems.push(`failed request: ${request.url()} ${why}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`status ${response.status()}: ${response.url()}`);
  });
  return problems;
}
