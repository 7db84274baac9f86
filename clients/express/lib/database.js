'use strict';

const { createHash } = require('node:crypto');
const statements = require('./statements.json');
const { decodeRow } = require('./text');
const { sqlStateOf, standby, translate } = require('./error');

// What sending a statement twice does. Statements that are not here change
// something, and a second time would change it again.
const repeatable = new Set([
  'SessionLoad', 'SessionLoadMany', 'SessionMissing', 'SessionTouch', 'SessionDelete',
  'SessionAwaitStandby', 'MarkAdd', 'MarkLook', 'OwnerList', 'OwnerHasHandle', 'AllFind',
  'OwnerFind', 'ExpiryCount',
]);

// Postgres rolled the statement back: serialization failure and deadlock.
const conflicts = new Set(['40001', '40P01']);

const attempts = 3;

// Results stay text, whatever parsers the application has set for its own.
const types = { getTypeParser: () => (text) => text };

/**
 * Database runs the statements of the library: see statements.json, which has
 * the text and the parameters of each. It takes a connection for one statement
 * and gives it back, so no error leaves one behind.
 */
class Database {
  #pool;
  #timeout;
  #prepared;
  #queries = new Map();

  constructor(pool, { schema, timeout, prepared }) {
    this.#pool = pool;
    this.#timeout = timeout;
    this.#prepared = prepared;
    for (const [name, { text, params }] of Object.entries(statements)) {
      const sql = text.replace(/\bpgsession\./g, `${schema}.`);
      // The text is part of the name: of two versions in one process, neither
      // runs the other's.
      const hash = createHash('sha256').update(sql).digest('hex').slice(0, 16);
      this.#queries.set(name, { name: `pgsession_${name}_${hash}`, sql, params });
    }
  }

  /**
   * Runs a statement and returns its rows. values has a member for each
   * parameter. A standby returns 'epoch' as the time that it read a session: it
   * may have one that was revoked.
   */
  async run(statement, values = {}) {
    const { rows } = await this.#send(statement, values);
    const decoded = rows.map(decodeRow);
    if (decoded.some((row) => row.validated_at === 0)) throw standby();
    return decoded;
  }

  /** Runs a statement and returns the number of rows that it changed. */
  async count(statement, values) {
    const { rowCount } = await this.#send(statement, values);
    return rowCount;
  }

  #send(statement, values) {
    const query = this.#queries.get(statement);
    const config = {
      text: query.sql,
      values: query.params.map((param) => {
        if (!(param in values)) throw new Error(`BUG: ${statement} lacks ${param}`);
        return values[param];
      }),
      types,
      query_timeout: this.#timeout,
    };
    if (this.#prepared) config.name = query.name;
    return this.#repeat(statement, config);
  }

  async #repeat(statement, config) {
    const deadline = performance.now() + this.#timeout;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#within(deadline - performance.now(), config);
      } catch (error) {
        const state = sqlStateOf(error);
        const again = conflicts.has(state) || repeatable.has(statement) && broken(error, state);
        if (!again || attempt === attempts || performance.now() >= deadline) {
          throw translate(error, !repeatable.has(statement) && !refused(error));
        }
      }
    }
  }

  /** Bounds the wait for a connection too, which query_timeout does not. */
  async #within(milliseconds, config) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(reject, Math.max(1, milliseconds), new Late());
    });
    try {
      return await Promise.race([this.#pool.query(config), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

class Late extends Error {
  constructor() { super('no reply in time'); }
}

/** Reports whether a connection broke: another one may work. */
function broken(error, state) {
  if (error instanceof Late) return false;
  return state === undefined || state.startsWith('08') || state.startsWith('57P');
}

/** Reports whether no connection was made, so nothing was sent. */
function refused(error) {
  return ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', 'EHOSTUNREACH'].includes(error.code);
}

module.exports = { Database };
