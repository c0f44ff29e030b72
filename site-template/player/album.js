// An album as one player: the tracks' own players give way to one that goes on to the next track.

import { Playlist } from "./pure/playlist.js";

/**
 * @typedef {object} Track
 * @property {HTMLElement} row
 * @property {HTMLButtonElement} button
 * @property {HTMLAnchorElement} link
 * @property {string} number
 * @property {string} title
 * @property {string} url
 */

/**
 * @param {Document} page
 */
export function enhanceAlbum(page) {
  const deck = page.querySelector("[data-deck]");
  const audio = deck?.querySelector("[data-deck-audio]");
  const title = deck?.querySelector("[data-deck-title]");
  const place = deck?.querySelector("[data-deck-place]");
  const previous = deck?.querySelector("[data-deck-previous]");
  const next = deck?.querySelector("[data-deck-next]");
  const rows = [...page.querySelectorAll("[data-track]")].filter((row) => row instanceof HTMLElement);
  if (
    !(deck instanceof HTMLElement) ||
    !(audio instanceof HTMLAudioElement) ||
    !(previous instanceof HTMLButtonElement) ||
    !(next instanceof HTMLButtonElement) ||
    !title ||
    !place ||
    rows.length === 0
  ) {
    return;
  }

  const tracks = rows.map(upgradeRow).filter((track) => track !== null);
  const playlist = new Playlist(tracks.length);

  const show = () => {
    tracks.forEach((track, index) => {
      const isCurrent = index === playlist.current;
      const isPlaying = isCurrent && !audio.paused;
      if (isCurrent) track.row.setAttribute("aria-current", "true");
      else track.row.removeAttribute("aria-current");
      track.button.setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} ${track.number}, ${track.title}`);
      track.button.dataset.state = isPlaying ? "playing" : "paused";
    });
    title.textContent = tracks[playlist.current]?.title ?? "";
    place.textContent = `Track ${playlist.current + 1} of ${tracks.length}`;
    previous.disabled = playlist.previous === null;
    next.disabled = playlist.next === null;
  };

  /** @param {number} index */
  const load = (index) => {
    const track = tracks[index];
    if (!track) return;
    playlist.current = index;
    audio.src = track.url;
    show();
  };

  const play = () => {
    // Refused by autoplay rules, or superseded by the next click: what the page shows stays true.
    audio.play().catch(show);
  };

  /** @param {number | null} index */
  const go = (index) => {
    if (index === null) return;
    load(index);
    play();
  };

  tracks.forEach((track, index) => {
    const toggle = () => {
      if (index !== playlist.current) go(index);
      else if (audio.paused) play();
      else audio.pause();
    };
    track.button.addEventListener("click", toggle);
    track.link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      toggle();
    });
  });
  previous.addEventListener("click", () => go(playlist.previous));
  next.addEventListener("click", () => go(playlist.next));
  audio.addEventListener("ended", () => go(playlist.next));
  audio.addEventListener("play", show);
  audio.addEventListener("pause", show);

  deck.hidden = false;
  load(0);
}

/**
 * The row's number becomes its play button, and its own player goes.
 * @param {HTMLElement} row
 * @returns {Track | null}
 */
function upgradeRow(row) {
  const page = row.ownerDocument;
  const cell = row.querySelector("[data-track-number]");
  const link = row.querySelector("[data-track-link]");
  const own = row.querySelector("audio");
  const icons = page.querySelector("[data-track-icons]");
  if (!cell || !(link instanceof HTMLAnchorElement) || !own || !(icons instanceof HTMLTemplateElement)) return null;

  const number = cell.textContent?.trim() ?? "";
  const figure = page.createElement("span");
  figure.className = "figure";
  figure.textContent = number;
  const button = page.createElement("button");
  button.type = "button";
  button.className = "track-play";
  button.append(figure, icons.content.cloneNode(true));
  cell.replaceChildren(button);
  const url = own.src;
  own.remove();
  return { row, button, link, url, number, title: link.textContent?.trim() ?? "" };
}
