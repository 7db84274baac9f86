'use strict';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const units = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1000, m: minute, h: hour };
const part = /^(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/;

/**
 * Returns the milliseconds of a duration: a number, or a text as Go writes it,
 * such as '168h' or '1h30m'. It returns undefined for anything else.
 */
function milliseconds(value) {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string' || value === '') return undefined;
  if (/^\d+$/.test(value)) return Number(value);
  let total = 0;
  for (let rest = value; rest !== '';) {
    const found = part.exec(rest);
    if (found === null) return undefined;
    total += Number(found[1]) * units[found[2]];
    rest = rest.slice(found[0].length);
  }
  return total;
}

/**
 * Expiry is when sessions end, in microseconds. It is the Expiry of the Go
 * library, and must have the same values as there.
 */
class Expiry {
  constructor({ idleTimeout = 7 * day, absoluteTimeout, sliding = true }) {
    const idle = timeout('idleTimeout', idleTimeout);
    const absolute = timeout('absoluteTimeout', absoluteTimeout ?? Math.max(30 * day, idle));
    if (absolute < idle) {
      throw new TypeError('absoluteTimeout: must not be shorter than idleTimeout');
    }
    this.idle = idle * 1000;
    this.absolute = absolute * 1000;
    this.sliding = Boolean(sliding);
    /** The least time between two touches of a session. */
    this.touchInterval = Math.min(minute * 1000, Math.floor(this.idle / 10));
    /** The step in which deadlines move. */
    this.resolution = Math.max(
      Math.min(Math.floor(this.idle / 128), hour * 1000), this.touchInterval, 1);
  }
}

function timeout(name, value) {
  const ms = milliseconds(value);
  if (ms === undefined || ms < 1000 || ms > 400 * day) {
    throw new TypeError(`${name}: must be between 1 s and 400 days: a number of milliseconds,`
      + ' or a duration such as 168h');
  }
  return ms;
}

module.exports = { Expiry, milliseconds };
