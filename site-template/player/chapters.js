// Chapters of a clip: their links seek the player instead of opening the file, the one being played is
// marked, and a page opened as `…#t=65` starts there.

import { chapterAt, timeFragment, timeOf } from "./pure/time.js";

/**
 * @param {Document} page
 */
export function enhanceChapters(page) {
  const media = page.querySelector("[data-media]");
  if (!(media instanceof HTMLMediaElement)) return;

  const links = [...page.querySelectorAll("a[data-seek]")].filter((link) => link instanceof HTMLAnchorElement);
  const starts = links.map((link) => Number(link.dataset.seek));

  links.forEach((link, index) => {
    const start = starts[index] ?? 0;
    // Now worth copying: it leads back to this place on this page.
    link.href = timeFragment(start);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      history.replaceState(null, "", link.href);
      seek(media, start);
      play(media);
      media.scrollIntoView({ block: "nearest" });
    });
  });

  let current = -1;
  const mark = () => {
    const next = media.currentTime > 0 || !media.paused ? chapterAt(starts, media.currentTime) : -1;
    if (next === current) return;
    links[current]?.removeAttribute("aria-current");
    links[next]?.setAttribute("aria-current", "true");
    current = next;
  };
  for (const event of ["timeupdate", "seeked", "play"]) media.addEventListener(event, mark);

  const fromAddress = () => {
    const time = timeOf(location.hash);
    if (time !== null) seek(media, time);
  };
  addEventListener("hashchange", fromAddress);
  fromAddress();
}

/**
 * @param {HTMLMediaElement} media
 * @param {number} time
 */
function seek(media, time) {
  // Before the length is known browsers keep this as the place to start from.
  media.currentTime = Number.isFinite(media.duration) ? Math.min(time, media.duration) : time;
}

/**
 * @param {HTMLMediaElement} media
 */
function play(media) {
  // Refused by autoplay rules or broken: the element shows it, and its own button is there.
  media.play().catch(() => {});
}
