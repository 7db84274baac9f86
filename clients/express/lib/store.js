'use strict';

const { randomUUID } = require('node:crypto');
const { Store } = require('express-session');
const { Client } = require('./client');
const { attributesOf, cookieOf, ownAttributes } = require('./cookie');
const { Database } = require('./database');
const { SessionError, badData, ended, revoked, standby } = require('./error');
const { Expiry, milliseconds } = require('./expiry');
const { Began, isRefused } = require('./marks');
const { check, difference, isReserved, membersOf, objectOf } = require('./patch');
const { arrayText, intervalText } = require('./text');
const { handleOf, rowID } = require('./token');
const { Touches } = require('./touches');
const { User } = require('./user');
const { UserSessions } = require('./user_sessions');

const schemaName = /^(?!pg_)[a-z_][a-z0-9_]{0,47}$/;
const maxDataSize = 512 * 1024;

/**
 * Known is what the store knows of a session object: the row that it was loaded
 * from, or that there is none yet. Only express-session's generate makes one
 * that may become a new row. After a session of a user it may do so only if the
 * request itself has ended that one. Else that session would come back, as its
 * user's or as that of one whom the request names without a password.
 *
 * @typedef {object} Known
 * @property {'new' | 'stored' | 'ended'} phase
 * @property {boolean} bars no new row may follow: it is or follows a session of
 *   a user that the request has not ended
 * @property {Map<string, string>} base the members when it was last in accord
 *   with the row
 * @property {string | undefined} userId the column
 * @property {string | undefined} pendingUserId the column
 * @property {object} usual the cookie's attributes in express-session's options
 * @property {unknown} cookie the row's member "cookie"
 */

/**
 * PgSession is a store for express-session over the sessions of pgsession. Go
 * and Node serve the same rows.
 */
class PgSession extends Store {
  #pool;
  #ownsPool = false;
  #database;
  #expiry;
  #user;
  #client;
  #maxDataSize;
  #maxSessions;
  #touches;
  #sessions;
  #make; // express-session's generate
  #generate; // ours around it
  #usual = attributesOf({ path: '/', httpOnly: true });
  /** @type {WeakMap<object, Known>} */
  #known = new WeakMap();
  /** @type {WeakMap<object, Known>} the latest session of each request */
  #latest = new WeakMap();
  /** @type {WeakMap<object, Began>} by request */
  #began = new WeakMap();
  /** The last write under way of each session, by sid. */
  #writes = new Map();

  constructor(options = {}) {
    super();
    const schema = options.schema ?? 'pgsession';
    if (!schemaName.test(schema)) {
      throw new TypeError('schema: must be at most 48 lower-case letters, digits and underscores');
    }
    const timeout = milliseconds(options.timeout ?? 5000);
    if (!(timeout > 0)) throw new TypeError('timeout: must be a positive duration');
    this.#expiry = new Expiry(options);
    this.#user = new User(options);
    this.#client = new Client(options);
    this.#maxDataSize = whole(options, 'maxDataSize', 64 * 1024, 1, maxDataSize);
    this.#maxSessions = whole(options, 'maxSessionsPerUser', 0, 0, 1_000_000);
    this.#pool = options.pool ?? this.#open(options.connectionString, timeout);
    this.#database = new Database(this.#pool, {
      schema, timeout, prepared: Boolean(options.prepared),
    });
    this.#touches = new Touches(this.#database, this.#expiry);
    this.#sessions = new UserSessions(this.#database, timeout);
  }

  #open(connectionString, timeout) {
    if (typeof connectionString !== 'string' || connectionString === '') {
      throw new TypeError('pool, connectionString: set one of them');
    }
    const { Pool } = require('pg');
    const pool = new Pool({ connectionString, connectionTimeoutMillis: timeout });
    this.#ownsPool = true;
    // An idle connection that ends is replaced by the next statement.
    pool.on('error', () => {});
    return pool;
  }

  /** Closes the pool, if the store has opened it. */
  async close() {
    if (this.#ownsPool) await this.#pool.end();
  }

  // express-session assigns generate, which makes a session with a new id. The
  // accessor is how the store learns of each such session.

  get generate() { return this.#generate; }

  set generate(make) {
    this.#generate = (req) => {
      make(req);
      this.#begin(req);
      const usual = attributesOf(req.session.cookie);
      this.#usual = usual;
      const bars = this.#latest.get(req)?.bars ?? false;
      this.#note(req, req.session, { phase: 'new', bars, base: new Map(), usual });
    };
    this.#make = make;
  }

  createSession(req, sess) {
    const known = this.#known.get(sess);
    if (known === undefined) return super.createSession(req, sess);
    this.#begin(req);
    known.usual = this.#usualFor(req);
    sess.cookie = cookieOf(known.usual, known.cookie);
    const session = super.createSession(req, sess);
    known.base = this.#members(session, known);
    this.#note(req, session, known);
    return session;
  }

  #note(req, session, known) {
    this.#known.set(session, known);
    this.#latest.set(req, known);
  }

  /**
   * Returns the attributes that express-session's options give to a cookie.
   * They may depend on the request. Only express-session's generate has them.
   */
  #usualFor(req) {
    if (req.headers !== undefined && this.#make !== undefined) {
      const probe = Object.create(req);
      this.#make(probe);
      this.#usual = attributesOf(probe.session.cookie);
    }
    return this.#usual;
  }

  #begin(req) {
    if (!this.#began.has(req)) this.#began.set(req, new Began());
  }

  #members(session, { usual }) {
    const members = membersOf(session);
    const own = session.cookie && usual ? ownAttributes(session.cookie, usual) : undefined;
    if (own !== undefined) members.set('cookie', own);
    return members;
  }

  get(sid, callback) { settle(this.#load(sid), callback); }

  set(sid, session, callback) {
    // The session may change before its turn. A call that follows at once, such
    // as destroy, has a later turn: else the row would be made after its end.
    let now;
    try {
      now = this.#snapshot(session);
    } catch (error) {
      settle(Promise.reject(error), callback);
      return;
    }
    settle(this.#inTurn(sid, () => this.#save(sid, session, now)), callback);
  }

  touch(sid, session, callback) {
    settle(this.#touch(sid, session), callback);
  }

  destroy(sid, callback) { settle(this.#inTurn(sid, () => this.#end(sid, true)), callback); }

  // A new id for the same browser is no logout, so the old row leaves no ending.
  regenerate(req, callback) {
    const { sessionID } = req;
    const over = this.#inTurn(sessionID, () => this.#end(sessionID, false, this.#latest.get(req)));
    settle(over, (error) => {
      this.generate(req);
      callback(error);
    });
  }

  /** Writes of one session run one after the other, also of two requests. */
  async #inTurn(sid, write) {
    const turn = (this.#writes.get(sid) ?? Promise.resolve()).then(write, write);
    this.#writes.set(sid, turn);
    try {
      return await turn;
    } finally {
      if (this.#writes.get(sid) === turn) this.#writes.delete(sid);
    }
  }

  async #load(sid) {
    const id = rowID(sid);
    const [row] = await this.#database.run('SessionLoad', { id });
    if (row === undefined) {
      const [missing] = await this.#database.run('SessionMissing', { ids: arrayText([id]) });
      if (missing.standby) throw standby();
      return null;
    }
    this.#touches.seen(id, row.validated_at - row.last_seen_at);
    return this.#sessionOf(row);
  }

  /** Returns the session of a row as express-session wants it from get. */
  #sessionOf(row) {
    const data = JSON.parse(row.data);
    const session = {};
    for (const key of Object.keys(data)) {
      if (!isReserved(key)) session[key] = data[key];
    }
    const userId = row.user_id ?? undefined;
    this.#user.reconcile(session, userId);
    session.cookie = cookieOf(this.#usual, data.cookie);
    const known = {
      phase: 'stored', bars: row.user_id !== null || row.pending_user_id !== null,
      usual: this.#usual, cookie: data.cookie,
      userId, pendingUserId: row.pending_user_id ?? undefined,
    };
    known.base = this.#members(session, known);
    this.#known.set(session, known);
    return session;
  }

  #snapshot(session) {
    const known = this.#known.get(session) ?? { phase: 'stored', usual: this.#usual };
    return {
      known, members: this.#members(session, known), userId: this.#user.of(session),
      client: this.#client.of(session.req),
      began: this.#began.get(session.req) ?? new Began(),
    };
  }

  async #save(sid, session, now) {
    const { known } = now;
    const login = now.userId !== undefined && now.userId !== known.userId;
    if (known.phase === 'ended' || known.phase === 'new' && known.bars) {
      if (login) throw ended();
      return;
    }
    const logout = known.phase === 'stored' && known.userId !== undefined && !now.userId;
    if (logout) {
      await this.#end(sid, true, known);
      known.userId = undefined;
      return;
    }
    const id = rowID(sid);
    try {
      if (known.phase === 'new') await this.#create(id, now);
      else await this.#change(id, now, login);
    } catch (error) {
      if (login && error.code === 'ERR_SESSION_OUTCOME_UNKNOWN') await this.#takeBack(id, known);
      throw error;
    }
    if (login && known.phase === 'stored') await this.#finishLogin(id, now);
  }

  async #create(id, now) {
    const { userId, client, members } = now;
    this.#check(members, members);
    await this.#database.run('SessionCreate', {
      id, user_id: userId ?? null, age: '0', login: userId === undefined ? null : '0',
      data: objectOf(members), ip: client.ip, user_agent: client.userAgent,
      lifetime: intervalText(this.#expiry.absolute), idle: intervalText(this.#expiry.idle),
      resolution: intervalText(this.#expiry.resolution),
      pending_user_id: null, pending: null,
      login_id: userId === undefined ? null : randomUUID(), methods: null, tags: null,
    });
    this.#written(id, now);
  }

  async #change(id, now, login) {
    const { known, members, client } = now;
    // Another user's session keeps nothing but what the application left in it.
    const drops = known.base === undefined
      || login && (known.userId ?? known.pendingUserId ?? now.userId) !== now.userId;
    const { changed, removed } = drops
      ? { changed: members, removed: [] } : difference(known.base, members);
    if (!login && !drops && changed.size === 0 && removed.length === 0) {
      await this.#use(id, client);
      return;
    }
    this.#check(changed, members, known.base);
    if (login && await isRefused(this.#database, now.userId, now.began)) throw revoked();
    const [row] = await this.#database.run('SessionSave', {
      id, removed: arrayText(removed), changed: objectOf(changed), drops,
      user_id: login ? now.userId : null, login: login ? '0' : null,
      login_id: login ? randomUUID() : null, methods: null, tags: null,
      ip: client.ip, user_agent: client.userAgent,
      idle: this.#slidingIdle(), resolution: intervalText(this.#expiry.resolution),
    });
    if (row !== undefined) {
      this.#written(id, now);
      return;
    }
    known.phase = 'ended';
    if (login) throw ended();
    this.emit('changeLost', { handle: handleOf(id) });
  }

  #written(id, { known, members, userId }) {
    known.phase = 'stored';
    known.base = members;
    known.userId = userId;
    if (userId !== undefined) {
      known.pendingUserId = undefined;
      known.bars = true;
    }
    this.#touches.seen(id, 0);
  }

  /**
   * Looks for a revoke that came while a login was written. Without an answer
   * the login is taken back: the browser may have the cookie already.
   */
  async #finishLogin(id, { userId, began, known }) {
    let refused = true;
    try {
      refused = await isRefused(this.#database, userId, began);
      if (refused) throw revoked();
    } finally {
      if (refused) await this.#takeBack(id, known);
    }
    if (this.#maxSessions > 0) {
      await this.#database.run('OwnerTrim', { user_id: userId, keep: this.#maxSessions });
    }
  }

  /**
   * Ends the session of a login that may have been written and was not looked
   * at: the browser may have the cookie already.
   */
  async #takeBack(id, known) {
    known.phase = 'ended';
    const [{ count }] = await this.#database.run('SessionDelete', { id, noted: false });
    if (count > 0) known.bars = false;
  }

  /** Refuses a session that grows beyond the bound; one may have been imported. */
  #check(changed, members, before = new Map()) {
    check(changed);
    const size = sizeOf(members);
    if (size > this.#maxDataSize && size > sizeOf(before)) {
      throw badData(`the session's data would be larger than ${this.#maxDataSize} bytes`);
    }
  }

  #slidingIdle() { return this.#expiry.sliding ? intervalText(this.#expiry.idle) : null; }

  async #touch(sid, session) {
    try {
      await this.#use(rowID(sid), this.#client.of(session?.req));
    } catch (error) {
      // The next request touches again; this one has its answer already.
      this.emit('touchFailed', error);
    }
  }

  #use(id, client) { return this.#touches.use(id, client, this.#slidingIdle()); }

  /** Ends a session; known is that of the request, if it is the request's. */
  async #end(sid, noted, known) {
    const id = rowID(sid);
    const [{ count }] = await this.#database.run('SessionDelete', { id, noted });
    // An earlier attempt may not have reached a synchronous standby.
    if (count === 0) await this.#database.run('SessionAwaitStandby');
    if (known === undefined) return;
    known.phase = 'ended';
    if (count > 0) known.bars = false;
  }

  all(callback) { settle(this.#all(), callback); }

  async #all() {
    const sessions = [];
    for await (const row of this.#sessions.rows()) sessions.push(this.#sessionOf(row));
    return sessions;
  }

  length(callback) { settle(this.#sessions.count(), callback); }

  clear(callback) { settle(this.#sessions.revokeAll().then(() => undefined), callback); }

  /** Returns the public name of a session, for lists and revokes. */
  handle(sid) { return handleOf(rowID(sid)); }

  /** Returns the live sessions of a user, the newest first. */
  async list(userId, page) { return this.#sessions.list(userID(userId), page); }

  /** Ends the session of a user that has a handle, and reports if it did. */
  async revoke(userId, handle) { return this.#sessions.revoke(userID(userId), handle); }

  /**
   * Ends all sessions of a user, and returns how many. With req, a later login
   * in that request is not refused.
   */
  async revokeUser(userId, req) {
    const known = this.#latest.get(req);
    const own = known && rowID(req.sessionID);
    return this.#sessions.revokeUser(userID(userId), {
      began: this.#began.get(req),
      ended: (id) => { if (own?.equals(id)) known.bars = false; },
    });
  }

  /** Ends all sessions of the request's user but its own. */
  async revokeOthers(req) {
    const userId = this.#known.get(req.session)?.userId;
    if (userId === undefined) return 0;
    return this.#sessions.revokeUser(userId, {
      began: this.#began.get(req), spared: rowID(req.sessionID),
    });
  }
}

function sizeOf(members) {
  let size = 2;
  for (const [key, json] of members) {
    size += Buffer.byteLength(key) + Buffer.byteLength(json) + 4;
  }
  return size;
}

/** Returns the id of a user as text. */
function userID(id) {
  if (typeof id === 'string' && id !== '' || Number.isFinite(id) || typeof id === 'bigint') {
    return String(id);
  }
  throw new TypeError('userId: must be a text that is not empty, or a number');
}

function whole(options, name, byDefault, least, most) {
  const value = options[name] ?? byDefault;
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new TypeError(`${name}: must be a whole number between ${least} and ${most}`);
  }
  return value;
}

/** Calls a callback with the result of a promise, outside of the promise. */
function settle(promise, callback = () => {}) {
  promise.then(
    (value) => setImmediate(callback, null, value),
    (error) => setImmediate(callback, error));
}

module.exports = { PgSession, SessionError };
