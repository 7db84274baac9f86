'use strict';

const { arrayText, intervalText } = require('./text');

const maxRemembered = 10_000;

/**
 * Touches writes the uses of sessions: each session at most once in a touch
 * interval, as far as this process knows. A touch that is written too often
 * does no harm, so the oldest entries may go.
 */
class Touches {
  #database;
  #expiry;
  /** When each session was last seen, in microseconds, by its id in hex. */
  #seen = new Map();

  constructor(database, expiry) {
    this.#database = database;
    this.#expiry = expiry;
  }

  /** Notes that a session was last seen so many microseconds ago. */
  seen(id, ago) {
    const key = id.toString('hex');
    this.#seen.delete(key); // so that the oldest entry comes first
    this.#seen.set(key, now() - ago);
    if (this.#seen.size > maxRemembered) this.#seen.delete(this.#seen.keys().next().value);
  }

  /** Writes a use, if the last one was long enough ago. */
  async use(id, { ip, userAgent }, idle) {
    const key = id.toString('hex');
    if (now() - this.#seen.get(key) < this.#expiry.touchInterval) return;
    this.seen(id, 0);
    try {
      await this.#database.run('SessionTouch', {
        ids: arrayText([id]), ips: arrayText([ip]), user_agents: arrayText([userAgent ?? '']),
        idle, resolution: intervalText(this.#expiry.resolution),
      });
    } catch (error) {
      this.#seen.delete(key);
      throw error;
    }
  }
}

const now = () => performance.now() * 1000;

module.exports = { Touches };
