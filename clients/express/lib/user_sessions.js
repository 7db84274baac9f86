'use strict';

const { unavailable } = require('./error');
const { addMark } = require('./marks');
const { arrayText, endOfTime, momentText } = require('./text');
const { everyone, handleBytes, handleLabel, handleOf, userKey } = require('./token');

const usualPage = 100;
const maxPage = 1000;
// A statement finds and ends so many sessions at most.
const found = 50_000;
const atOnce = 1000;
// A session may be created a little after a mark that it was written before,
// by its transaction's clock.
const allowance = 250_000;
// A third of a statement's time: Postgres may count it twice.
const third = (milliseconds) => String(Math.max(1, Math.floor(milliseconds / 3)));

/**
 * UserSessions lists and ends the sessions of a user, or of all users, as the
 * Go library does.
 */
class UserSessions {
  #database;
  #patience;

  constructor(database, timeout) {
    this.#database = database;
    this.#patience = third(timeout);
  }

  async list(userId, { limit = usualPage, after } = {}) {
    const max = Math.min(Math.max(1, limit), maxPage);
    const place = cursorOf(after);
    const page = await this.#database.run('OwnerList', {
      user_id: userId, before: place.before, after: place.id, max,
      max_pending: Math.max(1, Math.floor(max / 10)),
    });
    const rows = page.filter((row) => row.id !== null); // an empty page is a row of nulls
    const last = rows.at(-1);
    return {
      sessions: rows.map(infoOf),
      next: rows.length < max ? undefined
        : `${momentText(last.created_at)} ${last.id.toString('hex')}`,
    };
  }

  /** Returns the number of live sessions. */
  async count() {
    const [{ active }] = await this.#database.run('ExpiryCount');
    return active;
  }

  /** Yields the rows of all live sessions. */
  async* rows() {
    for await (const ids of this.#found('AllFind', { until: endOfTime })) {
      for (let i = 0; i < ids.length; i += atOnce) {
        yield* await this.#database.run('SessionLoadMany', {
          ids: arrayText(ids.slice(i, i + atOnce)),
        });
      }
    }
  }

  /** Ends the session of a user that has a handle, and reports if it did. */
  async revoke(userId, handle) {
    const bytes = handleBytes(handle);
    if (bytes === undefined) return false;
    const which = { user_id: userId, label: handleLabel, handle: bytes };
    const gone = await this.#database.run('OwnerRevokeHandle', which);
    if (gone.length > 0) return true;
    const [{ found: kept }] = await this.#database.run('OwnerHasHandle', which);
    if (kept) throw keptError();
    await this.#database.run('SessionAwaitStandby');
    return false;
  }

  /**
   * Ends all sessions of a user but one, and returns how many. ended is called
   * with the id of each.
   */
  revokeUser(userId, { began, spared = Buffer.alloc(0), ended = () => {} } = {}) {
    const user = { user_id: userId, tag: null, spared };
    return this.#sweep(userKey(userId), began, {
      find: (until) => this.#found('OwnerFind', { ...user, until }),
      end: async (ids) => {
        const gone = await this.#database.run('OwnerRevokeFound', { ids, user_id: userId, tag: null });
        gone.forEach(({ id }) => ended(id));
        return gone.length;
      },
      once: async (until) => {
        const [{ seen, ids }] = await this.#database.run('OwnerRevoke', {
          ...user, until, max: 1, lock_timeout: this.#patience,
        });
        ids.forEach(ended);
        return { seen, ended: ids.length };
      },
    });
  }

  /** Ends all sessions of all users and visitors, and returns how many. */
  revokeAll() {
    return this.#sweep(everyone, undefined, {
      find: (until) => this.#found('AllFind', { until }),
      end: (ids) => this.#database.count('AllRevokeFound', { ids }),
      once: async (until) => {
        const [{ seen, revoked }] = await this.#database.run('AllRevoke', {
          until, lock_timeout: this.#patience,
        });
        return { seen, ended: revoked };
      },
    });
  }

  /**
   * Leaves a mark for logins that are under way, ends the sessions that no
   * other transaction has locked, and then those that it has to wait for. It is
   * over when a statement that skips none has seen none.
   */
  async #sweep(key, began, { find, end, once }) {
    const marked = await addMark(this.#database, key, began);
    const stuck = new Set();
    let total = 0;
    for (let until = endOfTime; ; until = momentText(marked + allowance)) {
      for await (const ids of find(until)) {
        for (let i = 0; i < ids.length; i += atOnce) {
          total += await end(arrayText(ids.slice(i, i + atOnce)));
        }
      }
      const { seen, ended } = await once(momentText(marked + allowance));
      if (seen.length === 0) return total;
      total += ended;
      if (ended === 0) {
        if (stuck.has(seen.toString('hex'))) throw keptError();
        stuck.add(seen.toString('hex'));
      }
    }
  }

  /** Yields ids in their order. */
  async* #found(statement, values) {
    for (let after = Buffer.alloc(0); ;) {
      const rows = await this.#database.run(statement, { ...values, after, max: found });
      if (rows.length > 0) yield rows.map(({ id }) => id);
      if (rows.length < found) return;
      after = rows.at(-1).id;
    }
  }
}

const keptError = () => unavailable('a rule or trigger keeps a session that should be deleted');

/** Returns where a page ended, by its next. */
function cursorOf(next) {
  if (next === undefined) return { before: endOfTime, id: Buffer.alloc(0) };
  const [, before, id] = /^(\d{4,}-\d\d-\d\dT[\d:.]+Z) ([0-9a-f]{64})$/.exec(next) ?? [];
  if (id === undefined) throw new TypeError('after: must be the next of a page before');
  return { before, id: Buffer.from(id, 'hex') };
}

const date = (moment) => Number.isFinite(moment ?? NaN) ? new Date(moment / 1000) : undefined;

function infoOf(row) {
  return {
    handle: handleOf(row.id),
    pending: row.pending_user_id !== null,
    loginId: row.login_id ?? undefined,
    createdAt: date(row.created_at),
    authenticatedAt: date(row.authenticated_at),
    lastSeenAt: date(row.last_seen_at),
    expiresAt: date(row.expires_at),
    absoluteExpiresAt: date(row.absolute_expires_at),
    ip: row.ip ?? undefined,
    userAgent: row.user_agent ?? undefined,
  };
}

module.exports = { UserSessions };
