'use strict';

// The HTTP status of each kind of error, for Express's error handlers.
const statuses = {
  ERR_SESSION_UNAVAILABLE: 503,
  ERR_SESSION_OUTCOME_UNKNOWN: 503,
  ERR_SESSION_REVOKED: 403,
  ERR_SESSION_ENDED: 403,
  ERR_SESSION_EXISTS: 500,
  ERR_SESSION_DATA: 500,
};

/**
 * SessionError is each error of the store. It holds no token, no session id and
 * no data of a session: not in its message, and not in a cause.
 */
class SessionError extends Error {
  /**
   * @param {keyof statuses} code
   * @param {string} message
   * @param {string} [sqlState]
   */
  constructor(code, message, sqlState) {
    super(message);
    this.name = 'SessionError';
    this.code = code;
    this.status = statuses[code];
    if (sqlState !== undefined) this.sqlState = sqlState;
  }
}

const unavailable = (why, sqlState) => new SessionError(
  'ERR_SESSION_UNAVAILABLE', `session store unavailable: ${why}`, sqlState);

const outcomeUnknown = (why) => new SessionError('ERR_SESSION_OUTCOME_UNKNOWN',
  `outcome of a session change unknown: ${why}: it may have been made`);

const revoked = () => new SessionError('ERR_SESSION_REVOKED',
  'login refused: the sessions of this user were revoked meanwhile: log in again');

const ended = () => new SessionError('ERR_SESSION_ENDED',
  'login refused: the session that it began in has ended: log in again,'
  + ' with req.session.regenerate() first');

const badData = (what, sqlState) => new SessionError(
  'ERR_SESSION_DATA', `session not saved: ${what}`, sqlState);

// Postgres names values in the messages of these classes: data exceptions and
// violated constraints. A detail, hint or context can hold a whole row.
const quoting = new Set(['22', '23']);

/**
 * Returns the error of the store for an error of pg. sent reports that the
 * statement may have had an effect.
 */
function translate(error, sent) {
  if (error instanceof SessionError) return error;
  const state = sqlStateOf(error);
  if (state === undefined) {
    const why = error.code || error.message || 'no reply';
    return sent ? outcomeUnknown(`postgres did not reply: ${why}`) : unavailable(String(why));
  }
  if (state === '23505') {
    return new SessionError('ERR_SESSION_EXISTS',
      'session not created: its id is in use: check the genid option', state);
  }
  if (quoting.has(state.slice(0, 2)) || state === '54001') {
    const by = error.constraint ? ` by ${error.constraint}` : '';
    return badData(`postgres refuses the values${by}: SQLSTATE ${state}`, state);
  }
  return unavailable(`${error.message} (SQLSTATE ${state})`, state);
}

/** Returns the SQLSTATE of an error that Postgres has sent, or undefined. */
function sqlStateOf(error) {
  const { code, severity } = error;
  return severity && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

const standby = () => unavailable(
  'a standby answered, which may lack the latest revoke: connect to the primary');

module.exports = {
  SessionError, badData, ended, revoked, sqlStateOf, standby, translate, unavailable,
};
