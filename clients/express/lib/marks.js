'use strict';

const { randomBytes } = require('node:crypto');
const { arrayText, endOfTime, intervalText } = require('./text');
const { everyone, userKey } = require('./token');
const { standby, unavailable } = require('./error');

// A look may take so long, in microseconds. After that its marks no longer
// cover the age of the login.
const slack = 60e6;

/**
 * Began says when a login began: with its request, before a password was
 * checked. A revoke of the user that is later refuses the login.
 */
class Began {
  #monotonic = performance.now();
  #wall = Date.now();
  /** The marks of this request's own revokes, in hex: they don't refuse it. */
  own = new Set();

  /**
   * Its age in microseconds, by the clock that shows more: one stops while the
   * machine is suspended, the other can be set.
   */
  age() {
    return Math.max(0, performance.now() - this.#monotonic, Date.now() - this.#wall) * 1000;
  }
}

/** Returns whether a revoke refuses a login of this user that began so. */
async function isRefused(database, userId, began) {
  const asked = began.age() + slack;
  const rows = await database.run('MarkLook', {
    keys: arrayText([everyone, userKey(userId)]), age: intervalText(asked), since: endOfTime,
  });
  if (rows.length === 0 || rows[0].standby) throw standby();
  const age = began.age();
  if (age > asked) throw unavailable('looking for revokes took too long');
  return rows.some((mark) => mark.id !== null && !began.own.has(mark.id.toString('hex'))
    && age > mark.asked_at - mark.revoked_at);
}

/** Inserts the mark of a revoke, and returns its time. */
async function addMark(database, key, began) {
  const id = randomBytes(16);
  const [{ revoked_at: at }] = await database.run('MarkAdd', { id, key });
  began?.own.add(id.toString('hex'));
  return at;
}

module.exports = { Began, addMark, isRefused };
