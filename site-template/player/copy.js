// Buttons that copy a text, such as a magnet link. Hidden until it is known that they can work.

/** How long a button says that it has copied. */
const SAY_SO_MS = 2000;

/**
 * @param {Document} page
 */
export function enhanceCopyButtons(page) {
  // Absent where the page came over plain HTTP from elsewhere than this machine.
  const clipboard = navigator.clipboard;
  if (!clipboard) return;
  for (const button of page.querySelectorAll("[data-copy]")) {
    if (!(button instanceof HTMLButtonElement)) continue;
    const label = button.querySelector("[data-copy-label]");
    const words = label?.textContent ?? "";
    let timer = 0;
    /** @param {string} said */
    const say = (said) => {
      if (!label) return;
      label.textContent = said;
      clearTimeout(timer);
      timer = setTimeout(() => {
        label.textContent = words;
      }, SAY_SO_MS);
    };
    button.addEventListener("click", () => {
      clipboard.writeText(button.dataset.copy ?? "").then(
        () => say("Copied"),
        () => say("Can't copy"),
      );
    });
    label?.setAttribute("aria-live", "polite");
    button.hidden = false;
  }
}
