'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const { after, before, test } = require('node:test');
const { inspect } = require('node:util');
const { Pool } = require('pg');
const { PgSession } = require('..');
const { rowID } = require('../lib/token');
const { Browser, Database, Site, eventually } = require('./site');

let database;

before(async () => { database = await Database.make(); });
after(async () => { await database?.drop(); });

const call = (store, method, ...args) => new Promise((resolve, reject) => {
  store[method](...args, (error, value) => error ? reject(error) : resolve(value));
});

/** A server that accepts connections and says nothing. */
async function silentServer() {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    port: server.address().port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test('an unavailable Postgres is a 503, and the cookie stays', async () => {
  const site = await Site.start(database);
  const silent = await silentServer();
  const down = await Site.start(database, {
    store: { connectionString: `postgres://u:password@127.0.0.1:${silent.port}/d`, timeout: 200 },
  });
  try {
    const browser = new Browser();
    await browser.fetch(`${site.url}/login?user=ada`);
    const cookies = new Map(browser.cookies);
    const got = await Promise.all(Array.from({ length: 30 }, () => browser.fetch(`${down.url}/get`)));
    for (const { status, text, setCookie } of got) {
      assert.equal(status, 503);
      assert.match(text, /^session store unavailable: /);
      assert.doesNotMatch(text, /password/);
      assert.deepEqual(setCookie, []);
    }
    assert.deepEqual(browser.cookies, cookies);
    assert.equal((await browser.json(`${site.url}/get`)).userId, 'ada');
  } finally {
    silent.close();
    await site.stop();
    await down.stop();
  }
});

test('a refused connection is a 503 for a login', async () => {
  const silent = await silentServer();
  silent.close();
  const down = await Site.start(database, {
    store: { connectionString: `postgres://u:p@127.0.0.1:${silent.port}/d` },
  });
  try {
    const got = await new Browser().fetch(`${down.url}/login?user=ada`);
    assert.equal(got.status, 503);
    assert.match(got.text, /ECONNREFUSED/);
  } finally {
    await down.stop();
  }
});

test('a restart of Postgres between two requests is not noticed', async () => {
  const site = await Site.start(database);
  try {
    const browser = new Browser();
    await browser.fetch(`${site.url}/login?user=ada`);
    await database.query(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
      WHERE datname = $1 AND usename <> current_user`, [database.name]);
    assert.equal((await browser.json(`${site.url}/get`)).userId, 'ada');
  } finally {
    await site.stop();
  }
});

test('no error keeps a connection, or has a token or data in it', async () => {
  const pool = new Pool({ connectionString: database.url, max: 2 });
  const site = await Site.start(database, { store: { pool } });
  try {
    await database.query('ALTER TABLE pgsession.sessions ADD CONSTRAINT no_pin'
      + ' CHECK (data->>\'pin\' IS NULL)');
    const browser = new Browser();
    const sid = (await browser.fetch(`${site.url}/login?user=ada-4712`)).text;
    for (let i = 0; i < 10; i++) await browser.fetch(`${site.url}/set?pin=4711`).catch(() => {});
    await eventually(() => site.errors.length >= 10);
    for (const error of site.errors) {
      assert.equal(error.code, 'ERR_SESSION_DATA');
      assert.match(error.message, /no_pin/);
      const shown = inspect(error, { depth: 10, showHidden: true });
      for (const secret of ['4711', sid, rowID(sid).toString('hex'), 'ada-4712']) {
        assert.ok(!shown.includes(secret), `the error shows ${secret}:\n${shown}`);
      }
    }
    assert.equal(pool.waitingCount, 0);
    assert.equal(pool.totalCount, pool.idleCount);
    assert.equal((await browser.json(`${site.url}/get`)).userId, 'ada-4712');
  } finally {
    await database.query('ALTER TABLE pgsession.sessions DROP CONSTRAINT no_pin');
    await site.stop();
    await pool.end();
  }
});

test('a session that a standby has may be revoked, so the answer is a 503', async () => {
  const pool = new Pool({ connectionString: database.url });
  let standby = false;
  const either = {
    query: ({ text, ...config }) => pool.query({
      ...config, text: standby ? text.replaceAll('pg_catalog.pg_is_in_recovery()', 'true') : text,
    }),
  };
  const site = await Site.start(database, { store: { pool: either } });
  try {
    const browser = new Browser();
    await browser.fetch(`${site.url}/login?user=sue`);
    standby = true;
    const { status, text } = await browser.fetch(`${site.url}/get`);
    assert.equal(status, 503);
    assert.match(text, /a standby answered/);
    await assert.rejects(call(site.store, 'get', 'an unknown id'), /a standby answered/);
    await assert.rejects(call(site.store, 'all'), /a standby answered/);
    standby = false;
    assert.equal((await browser.json(`${site.url}/get`)).userId, 'sue');
  } finally {
    await site.stop();
    await pool.end();
  }
});

test('a missing right is an error that names the table', async () => {
  await database.query(`REVOKE SELECT ON pgsession.sessions FROM ${database.name}_app`);
  const store = new PgSession({ connectionString: database.url });
  try {
    await assert.rejects(call(store, 'get', 'some id'),
      { code: 'ERR_SESSION_UNAVAILABLE', message: /permission denied for table sessions/ });
  } finally {
    await database.query(`GRANT SELECT ON pgsession.sessions TO ${database.name}_app`);
    await store.close();
  }
});

test('a wait for a locked row ends with the timeout', async () => {
  const site = await Site.start(database, { store: { timeout: 3000 } });
  const holder = await database.admin.connect();
  try {
    const browser = new Browser();
    const sid = (await browser.fetch(`${site.url}/login?user=ada`)).text;
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM pgsession.sessions WHERE id = $1 FOR UPDATE', [rowID(sid)]);
    await browser.fetch(`${site.url}/set?a=1`).catch(() => {});
    await eventually(() => site.errors.length > 0);
    assert.equal(site.errors[0].code, 'ERR_SESSION_OUTCOME_UNKNOWN');
    await holder.query('ROLLBACK');
    assert.equal((await browser.json(`${site.url}/get`)).userId, 'ada');
  } finally {
    holder.release(true);
    await site.stop();
  }
});

test('the settings of a role change nothing', async () => {
  const role = `${database.name}_app`;
  for (const [name, value] of [
    ['bytea_output', 'escape'], ['TimeZone', 'Asia/Kathmandu'], ['IntervalStyle', 'sql_standard'],
    ['default_transaction_isolation', 'serializable'], ['search_path', 'nowhere'],
  ]) {
    await database.query(`ALTER ROLE ${role} IN DATABASE ${database.name} SET ${name} = '${value}'`);
  }
  const site = await Site.start(database, { store: { prepared: true } });
  try {
    const browser = new Browser();
    const sid = (await browser.fetch(`${site.url}/login?user=set`)).text;
    await Promise.all(Array.from({ length: 8 }, (_, i) =>
      browser.fetch(`${site.url}/set?k${i}=1`)));
    const got = await browser.json(`${site.url}/get`);
    for (let i = 0; i < 8; i++) assert.equal(got[`k${i}`], '1');
    const { sessions } = await site.store.list('set');
    assert.equal(sessions[0].handle, site.store.handle(sid));
    assert.ok(Math.abs(sessions[0].createdAt - Date.now()) < 60_000);
    assert.equal(await site.store.revokeUser('set'), 1);
    await database.query(`ALTER ROLE ${role} IN DATABASE ${database.name} SET DateStyle = 'German'`);
    const german = new PgSession({ connectionString: database.url });
    await browser.fetch(`${site.url}/login?user=set`);
    await assert.rejects(german.list('set'), { message: /set DateStyle to ISO/ });
    await german.close();
  } finally {
    await site.stop();
    await database.query(`ALTER ROLE ${role} IN DATABASE ${database.name} RESET ALL`);
  }
});

test('type parsers of the application change nothing', async () => {
  const { types } = require('pg');
  const usual = types.getTypeParser(1184);
  types.setTypeParser(1184, () => { throw new Error('parsed by the application'); });
  const site = await Site.start(database);
  try {
    const browser = new Browser();
    await browser.fetch(`${site.url}/login?user=types`);
    assert.equal((await browser.json(`${site.url}/get`)).userId, 'types');
  } finally {
    types.setTypeParser(1184, usual);
    await site.stop();
  }
});
