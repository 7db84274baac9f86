'use strict';

// A database with the schema of this version and the application's role, an
// Express application over it, and browsers.

const { execFile } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const http = require('node:http');
const path = require('node:path');
const { promisify } = require('node:util');
const express = require('express');
const session = require('express-session');
const { Client, Pool } = require('pg');
const { PgSession } = require('..');

const run = promisify(execFile);
const migrate = path.join(__dirname, '..', '..', '..', 'bin', 'migrate');
const secret = 'the secret of the tests, which is long enough';

async function withClient(url, use) {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/**
 * Database is a database of its own on the server of TEST_DATABASE_URL. url is
 * that of the application's role, owner that of a superuser.
 */
class Database {
  static async make({ schema = 'pgsession' } = {}) {
    const server = process.env.TEST_DATABASE_URL;
    if (!server) throw new Error('TEST_DATABASE_URL is not set: run the tests with make test/express');
    const made = new Database();
    made.server = server;
    made.name = `pgsession_e_${randomBytes(6).toString('hex')}`;
    await withClient(server, (c) => c.query(`CREATE DATABASE ${made.name}`));
    const url = new URL(server);
    url.pathname = `/${made.name}`;
    made.owner = url.href;
    made.schema = schema;
    const env = { ...process.env, DATABASE_URL: made.owner, SESSION_SCHEMA: schema };
    await run(migrate, ['up'], { env });
    // Roles belong to the server, so they have names of this database.
    const { stdout } = await run(migrate, ['ops', 'roles'], { env });
    const roles = stdout.replace(new RegExp(`\\b${schema}_(owner|app|pruner|monitor)\\b`, 'g'),
      `${made.name}_$1`);
    await withClient(made.owner, async (c) => {
      await c.query(roles);
      await c.query(`ALTER ROLE ${made.name}_app PASSWORD 'test'`);
    });
    url.username = `${made.name}_app`;
    url.password = 'test';
    made.url = url.href;
    made.admin = new Pool({ connectionString: made.owner, max: 4 });
    made.admin.on('error', () => {});
    return made;
  }

  async query(sql, values) {
    const { rows } = await this.admin.query(sql, values);
    return rows;
  }

  async one(sql, values) { return (await this.query(sql, values))[0]; }

  async drop() {
    await this.admin.end();
    await withClient(this.server, async (c) => {
      await c.query(`DROP DATABASE IF EXISTS ${this.name} WITH (FORCE)`);
      for (const role of ['app', 'pruner', 'monitor', 'owner']) {
        await c.query(`DROP ROLE IF EXISTS ${this.name}_${role}`);
      }
    });
  }
}

/** Site is an Express application with the store, on a port of loopback. */
class Site {
  static async start(database, { store: options, session: more, routes } = {}) {
    const site = new Site();
    site.errors = [];
    site.store = options instanceof session.Store ? options
      : new PgSession({ connectionString: database.url, schema: database.schema, ...options });
    const app = express();
    app.set('env', 'test'); // no log of errors
    app.set('trust proxy', 'loopback');
    app.use(session({
      store: site.store, secret, name: 'reporadar.sid', resave: false, saveUninitialized: false,
      cookie: { maxAge: 7 * 24 * 3600_000, sameSite: 'lax' }, ...more,
    }));
    routes?.(app, site.store);
    app.get('/get', (req, res) => res.json(req.session));
    app.get('/set', (req, res) => {
      for (const [key, value] of Object.entries(req.query)) req.session[key] = value;
      res.end('ok');
    });
    app.get('/remove', (req, res) => {
      delete req.session[req.query.key];
      res.end('ok');
    });
    app.get('/login', (req, res, next) => {
      req.session.regenerate((error) => {
        if (error) return next(error);
        req.session.userId = req.query.user;
        req.session.save((failed) => failed ? next(failed) : res.end(req.sessionID));
      });
    });
    app.get('/logout', (req, res, next) => {
      req.session.destroy((error) => error ? next(error) : res.end('bye'));
    });
    app.use((error, req, res, next) => {
      site.errors.push(error);
      if (res.headersSent) return next(error);
      res.status(error.status ?? 500).end(error.message);
    });
    site.server = http.createServer(app).listen(0, '127.0.0.1');
    await new Promise((resolve) => site.server.once('listening', resolve));
    site.url = `http://127.0.0.1:${site.server.address().port}`;
    return site;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await this.store.close();
  }
}

/** Browser keeps the session cookie, of any port of a host as browsers do. */
class Browser {
  constructor(headers = {}) {
    this.headers = headers;
    this.cookies = new Map();
  }

  async fetch(url, headers = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const res = await fetch(url, {
      headers: { ...this.headers, ...(cookie ? { cookie } : {}), ...headers }, redirect: 'manual',
    });
    for (const line of res.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const text = await res.text();
    return { status: res.status, text, setCookie: res.headers.getSetCookie() };
  }

  async json(url) { return JSON.parse((await this.fetch(url)).text); }

  copy() {
    const other = new Browser(this.headers);
    other.cookies = new Map(this.cookies);
    return other;
  }
}

/** Waits until so returns true. */
async function eventually(so) {
  for (const end = Date.now() + 60_000; !await so();) {
    if (Date.now() > end) throw new Error('it never came to be');
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

module.exports = { Browser, Database, Site, eventually, secret, withClient };
