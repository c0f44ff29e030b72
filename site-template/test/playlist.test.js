import assert from "node:assert/strict";
import { test } from "node:test";

import { Playlist } from "../player/pure/playlist.js";

test("an album plays on and ends", () => {
  const playlist = new Playlist(3);
  assert.equal(playlist.current, 0);
  assert.equal(playlist.previous, null);
  const played = [playlist.current];
  while (playlist.next !== null) {
    playlist.current = playlist.next;
    played.push(playlist.current);
  }
  assert.deepEqual(played, [0, 1, 2]);
  assert.equal(playlist.previous, 1);
});

test("a single track has no neighbours", () => {
  const playlist = new Playlist(1);
  assert.equal(playlist.next, null);
  assert.equal(playlist.previous, null);
});

test("only tracks that exist can be current", () => {
  const playlist = new Playlist(2);
  for (const index of [-1, 2, 0.5, NaN]) {
    assert.throws(() => {
      playlist.current = index;
    }, RangeError);
  }
  assert.equal(playlist.current, 0);
});
