// The order of an album's tracks. Pure: no DOM, no clock.

export class Playlist {
  #length;
  #current = 0;

  /**
   * @param {number} length how many tracks there are
   */
  constructor(length) {
    this.#length = length;
  }

  /** The track that is loaded, from 0. */
  get current() {
    return this.#current;
  }

  set current(index) {
    if (!Number.isInteger(index) || index < 0 || index >= this.#length) {
      throw new RangeError(`track ${index} of ${this.#length}`);
    }
    this.#current = index;
  }

  /**
   * The track after this one; null at the end: an album ends, it doesn't go round.
   * @returns {number | null}
   */
  get next() {
    return this.#current + 1 < this.#length ? this.#current + 1 : null;
  }

  /**
   * The track before this one; null at the start.
   * @returns {number | null}
   */
  get previous() {
    return this.#current > 0 ? this.#current - 1 : null;
  }
}
