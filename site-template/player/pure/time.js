// Times and chapters, without a page. Pure: no DOM, no clock.

/**
 * The fragment of an address that names a time, as media fragments write it.
 * @param {number} seconds
 * @returns {string}
 */
export function timeFragment(seconds) {
  return `#t=${Math.round(seconds * 1000) / 1000}`;
}

/**
 * The time that a fragment names: `#t=65`, `#t=1:05`, `#t=1:02:03.5`. Null for anything else.
 * @param {string} fragment
 * @returns {number | null}
 */
export function timeOf(fragment) {
  const match = /^#t=(?:(?:(\d{1,4}):)?([0-5]?\d):)?(\d{1,7}(?:\.\d{1,6})?)$/.exec(fragment);
  if (!match) return null;
  const [, hours, minutes, seconds] = match;
  if (minutes !== undefined && Number(seconds) >= 60) return null;
  return Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds);
}

/**
 * Which chapter is played at a time: the last that has begun; -1 before the first.
 * @param {readonly number[]} starts in ascending order
 * @param {number} time
 * @returns {number}
 */
export function chapterAt(starts, time) {
  // A seek to a chapter may land a few milliseconds before its start.
  const SLACK_S = 0.05;
  let found = -1;
  for (const [index, start] of starts.entries()) {
    if (start <= time + SLACK_S) found = index;
    else break;
  }
  return found;
}
