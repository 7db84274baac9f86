'use strict';

const assert = require('node:assert/strict');
const { after, before, test } = require('node:test');
const { PgSession } = require('..');
const { rowID } = require('../lib/token');
const { Browser, Database, Site, eventually } = require('./site');

let database;
let site;

before(async () => {
  database = await Database.make();
  site = await Site.start(database);
});

after(async () => {
  await site?.stop();
  await database?.drop();
});

const rowOf = (sid) => database.one('SELECT * FROM pgsession.sessions WHERE id = $1', [rowID(sid)]);
const rows = async () => Number(
  (await database.one('SELECT count(*) FROM pgsession.sessions')).count);

/** Moves the row of a session into the past. */
const age = (sid, interval) => database.query(`UPDATE pgsession.sessions SET
  created_at = created_at - $2::interval, last_seen_at = last_seen_at - $2::interval,
  authenticated_at = authenticated_at - $2::interval, expires_at = expires_at - $2::interval,
  absolute_expires_at = absolute_expires_at - $2::interval WHERE id = $1`, [rowID(sid), interval]);

test('a visitor without data has no row', async () => {
  const was = await rows();
  const { setCookie } = await new Browser().fetch(`${site.url}/get`);
  assert.deepEqual(setCookie, []);
  assert.equal(await rows(), was);
});

test('a login makes a row as Go does', async () => {
  const browser = new Browser({ 'user-agent': 'Agent/1', 'x-forwarded-for': '203.0.113.7' });
  const sid = (await browser.fetch(`${site.url}/login?user=ada`)).text;
  assert.equal(sid.length, 32);
  const row = await rowOf(sid);
  assert.equal(row.user_id, 'ada');
  assert.equal(row.ip, '203.0.113.7');
  assert.equal(row.user_agent, 'Agent/1');
  assert.match(row.login_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  assert.deepEqual(row.authenticated_at, row.created_at);
  assert.deepEqual(row.data, { userId: 'ada' });
  assert.equal(row.methods, null);
  const day = 24 * 3600_000;
  assert.equal(row.absolute_expires_at - row.created_at, 30 * day);
  const idle = row.expires_at - row.created_at - 7 * day;
  assert.ok(idle >= 0 && idle <= 3600_000, `idle deadline is off by ${idle} ms`);
  assert.equal(row.expires_at % 3600_000, 0, 'the deadline is a multiple of the resolution');
});

test('values survive, and a member is removed', async () => {
  const browser = new Browser();
  await browser.fetch(`${site.url}/set?color=blue&size=4`);
  await browser.fetch(`${site.url}/remove?key=size`);
  const got = await browser.json(`${site.url}/get`);
  assert.equal(got.color, 'blue');
  assert.equal(got.size, undefined);
});

test('concurrent changes of different members all survive', async () => {
  const browser = new Browser();
  await browser.fetch(`${site.url}/set?first=1`);
  await Promise.all(Array.from({ length: 20 }, (_, i) =>
    browser.fetch(`${site.url}/set?key${i}=${i}`)));
  const got = await browser.json(`${site.url}/get`);
  for (let i = 0; i < 20; i++) assert.equal(got[`key${i}`], String(i));
});

test('a slow request does not revive a session that was logged out', async () => {
  let reached;
  let release;
  const inside = new Promise((resolve) => { reached = resolve; });
  const released = new Promise((resolve) => { release = resolve; });
  const slow = await Site.start(database, {
    routes: (app) => app.get('/slow', async (req, res) => {
      reached();
      await released;
      req.session.late = 'late';
      res.end('ok');
    }),
  });
  try {
    const lost = [];
    slow.store.on('changeLost', (event) => lost.push(event));
    const browser = new Browser();
    const sid = (await browser.fetch(`${site.url}/login?user=slow`)).text;
    const pending = browser.copy().fetch(`${slow.url}/slow`);
    await inside;
    await browser.fetch(`${site.url}/logout`);
    release();
    assert.equal((await pending).status, 200);
    assert.equal(await rowOf(sid), undefined);
    assert.deepEqual(lost, [{ handle: site.store.handle(sid) }]);
  } finally {
    await slow.stop();
  }
});

test('a logout leaves an ending, and a regenerate none', async () => {
  const browser = new Browser();
  const first = (await browser.fetch(`${site.url}/login?user=eve`)).text;
  const second = (await browser.fetch(`${site.url}/login?user=eve`)).text;
  assert.equal(await rowOf(first), undefined);
  await browser.fetch(`${site.url}/logout`);
  assert.equal(await rowOf(second), undefined);
  const endings = await database.query('SELECT reason FROM pgsession.endings WHERE id = ANY($1)',
    [[rowID(first), rowID(second)]]);
  assert.deepEqual(endings, [{ reason: 'ended' }]);
  assert.equal((await browser.json(`${site.url}/get`)).userId, undefined);
});

test('removing the user is a logout', async () => {
  const browser = new Browser();
  const sid = (await browser.fetch(`${site.url}/login?user=max`)).text;
  await browser.fetch(`${site.url}/remove?key=userId`);
  assert.equal(await rowOf(sid), undefined);
});

test('a login without regenerate keeps the row, and the data of a visitor', async () => {
  const browser = new Browser();
  await browser.fetch(`${site.url}/set?cart=3`);
  const was = await database.one('SELECT * FROM pgsession.sessions WHERE data->>\'cart\' = \'3\'');
  await browser.fetch(`${site.url}/set?userId=ida`);
  const row = await database.one('SELECT * FROM pgsession.sessions WHERE user_id = \'ida\'');
  assert.deepEqual(row.id, was.id);
  assert.ok(row.authenticated_at > was.created_at);
  assert.ok(row.login_id);
  assert.equal(row.data.cart, '3');
  // Another user gets what the application left in the session.
  await database.query(`UPDATE pgsession.sessions
    SET data = (data::jsonb || '{"secret":1}')::json WHERE id = $1`, [row.id]);
  await browser.fetch(`${site.url}/set?userId=bob`);
  const next = await database.one('SELECT * FROM pgsession.sessions WHERE user_id = \'bob\'');
  assert.deepEqual(next.data, { cart: '3', secret: 1, userId: 'bob' });
  assert.notEqual(next.login_id, row.login_id);
});

test('a touch extends no more often than its interval', async () => {
  const browser = new Browser({ 'user-agent': 'Old/1' });
  const sid = (await browser.fetch(`${site.url}/login?user=touch`)).text;
  const made = await rowOf(sid);
  await browser.fetch(`${site.url}/get`);
  assert.deepEqual(await rowOf(sid), made);
  const other = await Site.start(database); // a process that has not seen it
  other.store.on('touchFailed', (error) => assert.fail(error));
  try {
    await age(sid, '2 days');
    const aged = await rowOf(sid);
    browser.headers = { 'user-agent': 'New/2' };
    await Promise.all(Array.from({ length: 10 }, () => browser.fetch(`${other.url}/get`)));
    const touched = await rowOf(sid);
    assert.ok(touched.last_seen_at > aged.last_seen_at);
    assert.ok(touched.expires_at > aged.expires_at);
    assert.deepEqual(touched.absolute_expires_at, aged.absolute_expires_at);
    assert.equal(touched.version, aged.version);
    assert.equal(touched.user_agent, 'New/2');
    await browser.fetch(`${other.url}/get`);
    assert.deepEqual((await rowOf(sid)).last_seen_at, touched.last_seen_at);
  } finally {
    await other.stop();
  }
});

test('the absolute deadline bounds a touch', async () => {
  const browser = new Browser();
  const sid = (await browser.fetch(`${site.url}/login?user=old`)).text;
  const other = await Site.start(database);
  try {
    // Used all the time, and 29.5 days old.
    await database.query(`UPDATE pgsession.sessions SET last_seen_at = now() - interval '1 hour',
      created_at = now() - interval '29.5 days',
      absolute_expires_at = now() + interval '12 hours', expires_at = now() + interval '1 hour'
      WHERE id = $1`, [rowID(sid)]);
    await browser.fetch(`${other.url}/get`);
    const row = await rowOf(sid);
    assert.deepEqual(row.expires_at, row.absolute_expires_at);
  } finally {
    await other.stop();
  }
});

test('a session that has expired is over', async () => {
  const browser = new Browser();
  const sid = (await browser.fetch(`${site.url}/login?user=gone`)).text;
  await age(sid, '8 days');
  const got = await browser.json(`${site.url}/get`);
  assert.equal(got.userId, undefined);
});

test('with resave, a request that changes nothing writes nothing', async () => {
  const eager = await Site.start(database, { session: { resave: true } });
  try {
    const browser = new Browser();
    const sid = (await browser.fetch(`${eager.url}/login?user=eager`)).text;
    const was = await rowOf(sid);
    await browser.fetch(`${eager.url}/get`);
    assert.deepEqual(await rowOf(sid), was);
  } finally {
    await eager.stop();
  }
});

test('Go numbers that JavaScript can not hold stay as they are', async () => {
  const browser = new Browser();
  const sid = (await browser.fetch(`${site.url}/login?user=big`)).text;
  await database.query(`UPDATE pgsession.sessions SET data =
    '{"n": 9007199254740993, "save": 1, "__proto__": 2, "userId": "big"}' WHERE id = $1`,
  [rowID(sid)]);
  await browser.fetch(`${site.url}/set?color=red`);
  const { data } = await database.one(
    'SELECT data::text FROM pgsession.sessions WHERE id = $1', [rowID(sid)]);
  assert.equal(data, '{"n": 9007199254740993, "save": 1, "color": "red", "userId": "big", '
    + '"__proto__": 2}');
});

test('a cookie of the session\'s own is kept', async () => {
  const remember = await Site.start(database, {
    session: { cookie: { httpOnly: true, secure: false } },
    routes: (app) => app.get('/remember', (req, res) => {
      req.session.cookie.maxAge = 30 * 24 * 3600_000;
      req.session.remembered = true;
      res.end('ok');
    }),
  });
  try {
    const browser = new Browser();
    await browser.fetch(`${remember.url}/remember`);
    const row = await database.one(
      'SELECT * FROM pgsession.sessions WHERE data->>\'remembered\' = \'true\'');
    assert.deepEqual(row.data.cookie, { originalMaxAge: 30 * 24 * 3600_000 });
    const { setCookie } = await browser.fetch(`${remember.url}/set?color=red`);
    assert.match(setCookie[0], /Expires=/);
    const again = await database.one('SELECT * FROM pgsession.sessions WHERE id = $1', [row.id]);
    assert.deepEqual(again.data.cookie, row.data.cookie);
  } finally {
    await remember.stop();
  }
});

test('a stored session has the cookie attributes of the options', async () => {
  const strict = await Site.start(database, { // a process that has made no session
    session: { rolling: true, cookie: { maxAge: 60_000, sameSite: 'strict', path: '/' } },
  });
  try {
    const browser = new Browser();
    await browser.fetch(`${site.url}/set?color=red`);
    const { setCookie } = await browser.fetch(`${strict.url}/get`);
    assert.match(setCookie[0], /Path=\/; Expires=.*; HttpOnly; SameSite=Strict$/);
  } finally {
    await strict.stop();
  }
});

test('ids of another length are hashed', async () => {
  const long = await Site.start(database, { session: { genid: () => `x-${crypto.randomUUID()}` } });
  try {
    const browser = new Browser();
    const sid = (await browser.fetch(`${long.url}/login?user=long`)).text;
    assert.match(sid, /^x-/);
    const { createHash } = require('node:crypto');
    const twice = createHash('sha256').update(createHash('sha256').update(sid).digest()).digest();
    const row = await database.one('SELECT * FROM pgsession.sessions WHERE user_id = \'long\'');
    assert.deepEqual(row.id, twice);
    assert.equal((await browser.json(`${long.url}/get`)).userId, 'long');
  } finally {
    await long.stop();
  }
});

test('an id that is taken makes no second session', async () => {
  const same = await Site.start(database, { session: { genid: () => 'always the same' } });
  try {
    assert.equal((await new Browser().fetch(`${same.url}/login?user=one`)).status, 200);
    const second = await new Browser().fetch(`${same.url}/login?user=two`);
    // regenerate has ended the first one
    assert.equal(second.status, 200);
    const third = await new Browser().fetch(`${same.url}/set?a=1`);
    assert.equal(third.status, 200);
    await eventually(() => same.errors.at(-1)?.code === 'ERR_SESSION_EXISTS');
  } finally {
    await same.stop();
  }
});

test('set changes no session that does not exist', async () => {
  const was = await rows();
  await new Promise((resolve, reject) => {
    site.store.set('no such session', { cookie: {}, a: 1 }, (e) => e ? reject(e) : resolve());
  });
  assert.equal(await rows(), was);
});

test('set of a plain object replaces the data of a session', async () => {
  const browser = new Browser();
  const sid = (await browser.fetch(`${site.url}/login?user=plain`)).text;
  await new Promise((resolve, reject) => {
    site.store.set(sid, { cookie: {}, userId: 'plain', a: 1 }, (e) => e ? reject(e) : resolve());
  });
  assert.deepEqual((await rowOf(sid)).data, { a: 1, userId: 'plain' });
  const session = await new Promise((resolve, reject) => {
    site.store.get(sid, (e, s) => e ? reject(e) : resolve(s));
  });
  session.b = 2;
  await new Promise((resolve, reject) => {
    site.store.set(sid, session, (e) => e ? reject(e) : resolve());
  });
  assert.deepEqual((await rowOf(sid)).data, { a: 1, b: 2, userId: 'plain' });
});

test('a save and a destroy of one session run in their order', async () => {
  const quick = await Site.start(database, {
    routes: (app) => app.get('/quick', (req, res, next) => {
      req.session.userId = 'quick';
      req.session.save();
      req.session.destroy((error) => error ? next(error) : res.end('ok'));
    }),
  });
  try {
    assert.equal((await new Browser().fetch(`${quick.url}/quick`)).status, 200);
    assert.equal(await database.one(
      'SELECT * FROM pgsession.sessions WHERE user_id = \'quick\''), undefined);
  } finally {
    await quick.stop();
  }
});

test('values that Postgres can not store are an error, and name the key', async () => {
  const bad = await Site.start(database, {
    routes: (app) => app.get('/bad', (req, res, next) => {
      req.session.note = JSON.parse(`"${req.query.value}"`);
      req.session.save((error) => error ? next(error) : res.end('ok'));
    }),
  });
  try {
    for (const [value, status] of [
      ['a\\u0000secret', 500], ['\\ud800secret', 500], ['\\\\u0000', 200], ['😀', 200],
    ]) {
      const got = await new Browser().fetch(`${bad.url}/bad?value=${encodeURIComponent(value)}`);
      assert.equal(got.status, status, value);
      if (status === 500) {
        assert.match(got.text, /"note"/);
        assert.doesNotMatch(got.text, /secret/);
      }
    }
    const large = await new Browser().fetch(`${bad.url}/bad?value=x`);
    assert.equal(large.status, 200);
  } finally {
    await bad.stop();
  }
});

test('a session that is too large is refused', async () => {
  const large = await Site.start(database, {
    store: { maxDataSize: 1000 },
    routes: (app) => app.get('/large', (req, res, next) => {
      req.session.note = 'x'.repeat(Number(req.query.n));
      req.session.save((error) => error ? next(error) : res.end('ok'));
    }),
  });
  try {
    assert.equal((await new Browser().fetch(`${large.url}/large?n=900`)).status, 200);
    const got = await new Browser().fetch(`${large.url}/large?n=1000`);
    assert.equal(got.status, 500);
    assert.match(got.text, /larger than 1000 bytes/);
    // One that is too large already may shrink.
    const browser = new Browser();
    await browser.fetch(`${large.url}/large?n=900`);
    await database.query(`UPDATE pgsession.sessions SET
      data = json_build_object('note', repeat('y', 5000)) WHERE length(data->>'note') = 900`);
    assert.equal((await browser.fetch(`${large.url}/large?n=4000`)).status, 200);
    assert.equal((await browser.fetch(`${large.url}/large?n=6000`)).status, 500);
  } finally {
    await large.stop();
  }
});

test('wrong options are errors that say what is right', () => {
  const url = 'postgres://localhost/none';
  for (const [options, text] of [
    [{}, /pool, connectionString/],
    [{ connectionString: url, schema: 'Big' }, /^schema:/],
    [{ connectionString: url, schema: 'pg_x' }, /^schema:/],
    [{ connectionString: url, idleTimeout: '1 week' }, /^idleTimeout:/],
    [{ connectionString: url, idleTimeout: '1ms' }, /^idleTimeout:/],
    [{ connectionString: url, idleTimeout: '2h', absoluteTimeout: '1h' }, /^absoluteTimeout:/],
    [{ connectionString: url, userId: () => 1 }, /^userId, setUserId:/],
    [{ connectionString: url, ipPrefix: [24] }, /^ipPrefix:/],
    [{ connectionString: url, maxSessionsPerUser: -1 }, /^maxSessionsPerUser:/],
    [{ connectionString: url, timeout: 0 }, /^timeout:/],
  ]) assert.throws(() => new PgSession(options), { message: text });
});
