import assert from "node:assert/strict";
import { test } from "node:test";

import { chapterAt, timeFragment, timeOf } from "../player/pure/time.js";

test("a time goes into an address and comes back", () => {
  for (const seconds of [0, 12.5, 65, 3723.25, 0.1 + 0.2]) {
    const back = timeOf(timeFragment(seconds));
    assert.ok(back !== null && Math.abs(back - seconds) < 0.001, `${seconds}`);
  }
});

test("times as people write them", () => {
  /** @type {[string, number | null][]} */
  const cases = [
    ["#t=65", 65],
    ["#t=1:05", 65],
    ["#t=1:02:03.5", 3723.5],
    ["#t=0:7", 7],
    ["", null],
    ["#t=", null],
    ["#t=1:75", null],
    ["#t=-4", null],
    ["#t=1e9", null],
    ["#t=99999999999", null],
    ["#keep", null],
    ["#t=5&x", null],
    ["#t=NaN", null],
  ];
  for (const [fragment, seconds] of cases) assert.equal(timeOf(fragment), seconds, fragment);
});

test("the chapter at a time is the last that has begun", () => {
  const starts = [0, 10, 20.5];
  assert.equal(chapterAt(starts, 0), 0);
  assert.equal(chapterAt(starts, 9.9), 0);
  assert.equal(chapterAt(starts, 9.97), 1, "a seek may land a little early");
  assert.equal(chapterAt(starts, 1000), 2);
  assert.equal(chapterAt([5, 10], 1), -1);
  assert.equal(chapterAt([], 1), -1);
});
