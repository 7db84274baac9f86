'use strict';

const assert = require('node:assert/strict');
const { after, before, test } = require('node:test');
const { rowID } = require('../lib/token');
const { Browser, Database, Site, eventually } = require('./site');

let database;
let site;

// A request that stops in the middle, as one that checks a password does.
let stops;

before(async () => {
  database = await Database.make();
  site = await Site.start(database, {
    routes: (app, store) => {
      app.get('/slow-login', async (req, res, next) => {
        await stops.stop();
        req.session.regenerate((error) => {
          if (error) return next(error);
          req.session.userId = req.query.user;
          req.session.save((failed) => failed ? next(failed) : res.end(req.sessionID));
        });
      });
      app.get('/slow-login-in-place', async (req, res, next) => {
        await stops.stop();
        req.session.userId = req.query.user;
        req.session.save((failed) => failed ? next(failed) : res.end(req.sessionID));
      });
      app.get('/reset', async (req, res, next) => {
        try {
          await store.revokeUser(req.query.user, req);
          req.session.regenerate((error) => {
            if (error) return next(error);
            req.session.userId = req.query.user;
            req.session.save((failed) => failed ? next(failed) : res.end(req.sessionID));
          });
        } catch (error) {
          next(error);
        }
      });
      app.get('/as', async (req, res, next) => {
        const { how, end, user } = req.query;
        const failed = (error) => { error ? next(error) : res.end(req.sessionID); };
        const login = (error) => {
          if (error) return next(error);
          req.session.userId = user;
          req.session.save(failed);
        };
        try {
          if (end === 'by another') await store.revokeUser(req.session.userId);
          if (end === 'by another first') await store.revokeUser(req.session.userId);
          if (end === 'by the request' || end === 'by another first') {
            await store.revokeUser(req.session.userId, req);
          }
        } catch (error) {
          return next(error);
        }
        if (how === 'in place') return login();
        if (how === 'regenerate') return req.session.regenerate(login);
        if (how === 'regenerate twice') {
          return req.session.regenerate(() => req.session.regenerate(login));
        }
        if (how === 'destroy') {
          return req.session.destroy(() => { store.generate(req); login(); });
        }
        delete req.session.userId; // as passport logs out
        req.session.save(() => req.session.regenerate(login));
      });
      app.get('/others', async (req, res, next) => {
        store.revokeOthers(req).then((n) => res.end(String(n)), next);
      });
    },
  });
});

after(async () => {
  await site?.stop();
  await database?.drop();
});

/** Stop lets a test act while a request is in its middle. */
class Stop {
  constructor() {
    this.reached = new Promise((resolve) => { this.reach = resolve; });
    this.released = new Promise((resolve) => { this.release = resolve; });
  }

  stop() {
    this.reach();
    return this.released;
  }
}

const login = async (user, headers) => {
  const browser = new Browser(headers);
  browser.sid = (await browser.fetch(`${site.url}/login?user=${user}`)).text;
  return browser;
};

const isIn = async (browser) => (await browser.json(`${site.url}/get`)).userId !== undefined;

test('a list has the sessions of a user, the newest first', async () => {
  const first = await login('lea', { 'user-agent': 'One/1', 'x-forwarded-for': '2001:db8::1' });
  const second = await login('lea', { 'user-agent': 'Two/2' });
  await login('someone else');
  const { sessions, next } = await site.store.list('lea');
  assert.equal(next, undefined);
  assert.deepEqual(sessions.map((s) => s.handle),
    [second.sid, first.sid].map((sid) => site.store.handle(sid)));
  const [, { createdAt, authenticatedAt, expiresAt, absoluteExpiresAt, ...info }] = sessions;
  assert.equal(info.userAgent, 'One/1');
  assert.equal(info.ip, '2001:db8::1');
  assert.equal(info.pending, false);
  assert.match(info.loginId, /^[0-9a-f-]{36}$/);
  assert.deepEqual(authenticatedAt, createdAt);
  assert.ok(expiresAt > createdAt && absoluteExpiresAt > expiresAt);
});

test('a list has pages', async () => {
  const handles = [];
  for (let i = 0; i < 5; i++) handles.unshift(site.store.handle((await login('pages')).sid));
  const got = [];
  let after;
  let pages = 0;
  do {
    const page = await site.store.list('pages', { limit: 2, after });
    got.push(...page.sessions.map((s) => s.handle));
    after = page.next;
    pages++;
  } while (after !== undefined);
  assert.deepEqual(got, handles);
  assert.equal(pages, 3);
  await assert.rejects(site.store.list('pages', { after: 'elsewhere' }), TypeError);
});

test('a revoke by handle ends one session of its user, with an ending', async () => {
  const first = await login('rob');
  const second = await login('rob');
  const handle = site.store.handle(first.sid);
  assert.equal(await site.store.revoke('another', handle), false);
  assert.equal(await site.store.revoke('rob', 'no handle'), false);
  assert.equal(await site.store.revoke('rob', handle), true);
  assert.equal(await site.store.revoke('rob', handle), false);
  assert.equal(await isIn(first), false);
  assert.equal(await isIn(second), true);
  const ending = await database.one('SELECT * FROM pgsession.endings WHERE id = $1',
    [rowID(first.sid)]);
  assert.equal(ending.reason, 'ended');
});

test('a revoke of a user ends all sessions, and leaves a mark', async () => {
  const all = [await login('kim'), await login('kim'), await login('kim')];
  const other = await login('not kim');
  assert.equal(await site.store.revokeUser('kim'), 3);
  for (const browser of all) assert.equal(await isIn(browser), false);
  assert.equal(await isIn(other), true);
  assert.equal(await site.store.revokeUser('kim'), 0);
  assert.equal(await isIn(await login('kim')), true, 'a later login is not refused');
});

test('a revoke refuses a login that is under way', async () => {
  for (const path of ['slow-login', 'slow-login-in-place']) {
    stops = new Stop();
    const browser = new Browser();
    await browser.fetch(`${site.url}/set?cart=1`);
    const pending = browser.fetch(`${site.url}/${path}?user=tom`);
    await stops.reached;
    await site.store.revokeUser('tom');
    stops.release();
    const { status, text } = await pending;
    assert.equal(status, 403, path);
    assert.match(text, /revoked/);
    assert.equal(await isIn(browser), false);
    assert.deepEqual(await database.query(
      'SELECT * FROM pgsession.sessions WHERE user_id = \'tom\''), []);
  }
});

test('a refused login in place leaves the session of the visitor', async () => {
  stops = new Stop();
  const browser = new Browser();
  await browser.fetch(`${site.url}/set?cart=7`);
  const pending = browser.fetch(`${site.url}/slow-login-in-place?user=tim`);
  await stops.reached;
  await site.store.revokeUser('tim');
  stops.release();
  assert.equal((await pending).status, 403);
  assert.equal((await browser.json(`${site.url}/get`)).cart, '7');
});

test('a revoke between the write of a login and its look refuses it too', async () => {
  // The mark is committed by another connection while the login is written: a
  // trigger would do it in the same transaction, so the pool does.
  const { Pool } = require('pg');
  const pool = new Pool({ connectionString: database.url });
  let armed = true;
  const between = {
    query: async (config) => {
      const result = await pool.query(config);
      if (armed && /^INSERT INTO pgsession.sessions/.test(config.text)) {
        armed = false;
        await site.store.revokeUser('una');
      }
      return result;
    },
  };
  const other = await Site.start(database, { store: { pool: between } });
  try {
    const { status } = await new Browser().fetch(`${other.url}/login?user=una`);
    assert.equal(status, 403);
    assert.deepEqual(await database.query(
      'SELECT * FROM pgsession.sessions WHERE user_id = \'una\''), []);
  } finally {
    await other.stop();
    await pool.end();
  }
});

test('a login whose outcome is unknown is taken back', async () => {
  const { Pool } = require('pg');
  const pool = new Pool({ connectionString: database.url });
  const lossy = {
    query: async (config) => {
      const result = await pool.query(config);
      if (/^INSERT INTO pgsession.sessions/.test(config.text)) {
        throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
      }
      return result;
    },
  };
  const other = await Site.start(database, { store: { pool: lossy } });
  try {
    const { status } = await new Browser().fetch(`${other.url}/login?user=uma`);
    assert.equal(status, 503);
    assert.deepEqual(await database.query(
      'SELECT * FROM pgsession.sessions WHERE user_id = \'uma\''), []);
  } finally {
    await other.stop();
    await pool.end();
  }
});

test('no user id is none of a user', async () => {
  for (const id of [undefined, null, '', NaN, {}]) {
    await assert.rejects(site.store.revokeUser(id), TypeError);
    await assert.rejects(site.store.list(id), TypeError);
    await assert.rejects(site.store.revoke(id, 'handle'), TypeError);
  }
});

test('a login whose look has no answer is taken back', async () => {
  const { Pool } = require('pg');
  const pool = new Pool({ connectionString: database.url });
  const deaf = {
    query: (config) => /pgsession.marks/.test(config.text)
      ? Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
      : pool.query(config),
  };
  const other = await Site.start(database, { store: { pool: deaf } });
  try {
    const { status } = await new Browser().fetch(`${other.url}/login?user=uwe`);
    assert.equal(status, 503);
    assert.deepEqual(await database.query(
      'SELECT * FROM pgsession.sessions WHERE user_id = \'uwe\''), []);
  } finally {
    await other.stop();
    await pool.end();
  }
});

test('a request can revoke its user and log in', async () => {
  const thief = await login('ann');
  const browser = await login('ann');
  assert.equal((await browser.fetch(`${site.url}/reset?user=ann`)).status, 200);
  assert.equal(await isIn(browser), true);
  assert.equal(await isIn(thief), false);
});

const ways = ['regenerate', 'regenerate twice', 'destroy', 'logout', 'in place'];

test('a session of a user that another request ended is followed by none', async () => {
  for (const end of ['by another', 'by another first']) {
    for (const how of ways) {
      for (const user of ['eve', 'the boss']) {
        const browser = await login('eve');
        const query = new URLSearchParams({ how, end, user });
        const { status } = await browser.fetch(`${site.url}/as?${query}`);
        // In place and as the same user it is no login: the change is dropped.
        assert.equal(status, how === 'in place' && user === 'eve' ? 200 : 403, String(query));
        assert.equal(await isIn(browser), false, String(query));
        assert.deepEqual(await database.query(`SELECT * FROM pgsession.sessions
          WHERE user_id IN ('eve', 'the boss')`), [], String(query));
      }
    }
  }
});

test('a request that has ended its session can log another user in', async () => {
  for (const end of ['by the request', 'never']) {
    for (const how of ['regenerate', 'regenerate twice', 'logout']) {
      const browser = await login('eve');
      const query = new URLSearchParams({ how, end, user: 'the boss' });
      assert.equal((await browser.fetch(`${site.url}/as?${query}`)).status, 200, String(query));
      assert.equal((await browser.json(`${site.url}/get`)).userId, 'the boss');
      await site.store.revokeUser('eve');
    }
  }
});

test('a login that Go has begun and another request has ended is followed by none', async () => {
  const browser = new Browser();
  await browser.fetch(`${site.url}/set?cart=1`);
  await database.query(`UPDATE pgsession.sessions SET pending_user_id = 'eve', pending_since = now()
    WHERE data ->> 'cart' = '1'`);
  stops = new Stop();
  const pending = browser.fetch(`${site.url}/slow-login?user=eve`);
  await stops.reached;
  await database.query('DELETE FROM pgsession.sessions WHERE pending_user_id = \'eve\'');
  stops.release();
  assert.equal((await pending).status, 403);
});

test('a visitor whose session has ended meanwhile can log in', async () => {
  const browser = new Browser();
  await browser.fetch(`${site.url}/set?cart=vis`);
  stops = new Stop();
  const pending = browser.fetch(`${site.url}/slow-login?user=vis`);
  await stops.reached;
  await database.query('DELETE FROM pgsession.sessions WHERE data ->> \'cart\' = \'vis\'');
  stops.release();
  assert.equal((await pending).status, 200);
  assert.equal(await isIn(browser), true);
});

test('a request can end the other sessions of its user', async () => {
  const others = [await login('pia'), await login('pia')];
  const browser = await login('pia');
  assert.equal((await browser.fetch(`${site.url}/others`)).text, '2');
  assert.equal(await isIn(browser), true);
  for (const other of others) assert.equal(await isIn(other), false);
  assert.equal((await new Browser().fetch(`${site.url}/others`)).text, '0');
});

test('a revoke waits for a session that another transaction has locked', async () => {
  const browser = await login('lou');
  const holder = await database.admin.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM pgsession.sessions WHERE id = $1 FOR UPDATE',
    [rowID(browser.sid)]);
  const revoke = site.store.revokeUser('lou');
  await eventually(async () => (await database.query(
    `SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'`,
    [database.name])).length > 0);
  await holder.query('COMMIT');
  holder.release();
  assert.equal(await revoke, 1);
  assert.equal(await isIn(browser), false);
});

test('a limit ends the sessions with the oldest logins', async () => {
  const limited = await Site.start(database, { store: { maxSessionsPerUser: 2 } });
  try {
    const browsers = [];
    for (let i = 0; i < 3; i++) {
      const browser = new Browser();
      browser.sid = (await browser.fetch(`${limited.url}/login?user=max`)).text;
      browsers.push(browser);
    }
    assert.deepEqual(await Promise.all(browsers.map(isIn)), [false, true, true]);
    const ending = await database.one('SELECT * FROM pgsession.endings WHERE id = $1',
      [rowID(browsers[0].sid)]);
    assert.equal(ending.reason, 'too_many');
  } finally {
    await limited.stop();
  }
});

test('what Go does to the user of a row is what Express sees', async () => {
  const browser = await login('7');
  const sid = rowID(browser.sid);
  const seen = async () => (await browser.json(`${site.url}/get`)).userId;
  // Another user, and a Go application that keeps no member userId.
  await database.query(
    'UPDATE pgsession.sessions SET user_id = \'8\', data = \'{"a":1}\' WHERE id = $1', [sid]);
  assert.equal(await seen(), '8');
  await browser.fetch(`${site.url}/set?b=2`);
  const row = await database.one('SELECT * FROM pgsession.sessions WHERE id = $1', [sid]);
  assert.deepEqual(row.data, { a: 1, b: '2' });
  assert.equal(row.user_id, '8');
  // A member that says otherwise counts for nothing.
  await database.query(
    'UPDATE pgsession.sessions SET user_id = NULL, data = \'{"userId":9}\' WHERE id = $1', [sid]);
  assert.equal(await seen(), undefined);
  // A number stays one.
  await database.query(
    'UPDATE pgsession.sessions SET user_id = \'9\', data = \'{"userId":9}\' WHERE id = $1', [sid]);
  assert.equal(await seen(), 9);
});

test('passport logs in and out', async () => {
  const passport = require('passport');
  const auth = new passport.Passport();
  auth.serializeUser((user, done) => done(null, user.id));
  auth.deserializeUser((id, done) => done(null, { id }));
  const other = await Site.start(database, {
    store: { passport: true },
    routes: (app) => {
      app.use(auth.session());
      app.get('/in', (req, res, next) => {
        req.login({ id: Number(req.query.user) }, (e) => e ? next(e) : res.end(req.sessionID));
      });
      app.get('/out', (req, res, next) => req.logout((e) => e ? next(e) : res.end('bye')));
      app.get('/me', (req, res) => res.json(req.user ?? null));
    },
  });
  try {
    const browser = new Browser();
    await browser.fetch(`${other.url}/set?cart=1`);
    const before = (await browser.fetch(`${other.url}/in?user=42`)).text;
    assert.deepEqual(await browser.json(`${other.url}/me`), { id: 42 });
    assert.equal((await database.one('SELECT user_id FROM pgsession.sessions WHERE id = $1',
      [rowID(before)])).user_id, '42');
    // Go logs another user in under the same row.
    await database.query('UPDATE pgsession.sessions SET user_id = \'43\', data = \'{}\''
      + ' WHERE id = $1', [rowID(before)]);
    assert.deepEqual(await browser.json(`${other.url}/me`), { id: '43' });
    assert.equal((await browser.fetch(`${other.url}/out`)).status, 200);
    assert.equal(await browser.json(`${other.url}/me`), null);
    assert.equal(await database.one('SELECT user_id FROM pgsession.sessions WHERE id = $1',
      [rowID(before)]), undefined);
    assert.equal((await database.one('SELECT reason FROM pgsession.endings WHERE id = $1',
      [rowID(before)])).reason, 'ended');
  } finally {
    await other.stop();
  }
});

test('all, length and clear', async () => {
  const own = await Database.make({ schema: 'other_name' });
  const there = await Site.start(own);
  try {
    const browsers = [];
    for (let i = 0; i < 3; i++) {
      browsers.push(new Browser());
      await browsers[i].fetch(`${there.url}/login?user=u${i}`);
    }
    await own.query(`INSERT INTO other_name.sessions (id, expires_at, absolute_expires_at)
      VALUES (sha256('expired'), now() - interval '1 s', now())`);
    const call = (name) => new Promise((resolve, reject) => {
      there.store[name]((error, value) => error ? reject(error) : resolve(value));
    });
    assert.equal(await call('length'), 3);
    const all = await call('all');
    assert.deepEqual(all.map((s) => s.userId).sort(), ['u0', 'u1', 'u2']);
    assert.ok(all[0].cookie);
    await call('clear');
    assert.equal(await call('length'), 0);
    assert.deepEqual(await call('all'), []);
    assert.equal(Number((await own.one('SELECT count(*) FROM other_name.sessions')).count), 0);
    assert.equal(Number((await own.one('SELECT count(*) FROM other_name.marks')).count), 1);
  } finally {
    await there.stop();
    await own.drop();
  }
});
