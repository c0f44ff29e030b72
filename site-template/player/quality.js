// The choice between renditions of a clip. Without scripts each is a link to its file; with them the player
// goes over to the chosen one where it is, and the one that plays is marked.

/**
 * @param {Document} page
 */
export function enhanceQuality(page) {
  const media = page.querySelector("[data-media]");
  const list = page.querySelector("[data-quality]");
  if (!(media instanceof HTMLMediaElement) || !list) return;
  const links = [...list.querySelectorAll("a[data-source]")].filter((link) => link instanceof HTMLAnchorElement);

  const mark = () => {
    for (const link of links) {
      if (link.href === media.currentSrc) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };

  for (const link of links) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      if (link.href !== media.currentSrc) goOver(media, link.href);
    });
  }
  // `loadstart` comes with every choice of a source, by the browser or by a link here.
  for (const event of ["loadstart", "loadedmetadata"]) media.addEventListener(event, mark);
  mark();
}

/**
 * Goes over to another form of the same clip, at the same place and speed, playing if it played.
 * @param {HTMLMediaElement} media
 * @param {string} url
 */
function goOver(media, url) {
  const { currentTime, paused, playbackRate } = media;
  media.src = url;
  media.playbackRate = playbackRate;
  // Before the length is known browsers keep this as the place to start from.
  if (currentTime > 0) media.currentTime = currentTime;
  // Refused by autoplay rules, or superseded by the next click: the element shows it.
  if (!paused) media.play().catch(() => {});
}
