'use strict';

// The Express half of the tests: what the Go half in site_test.go has too.

const { createRequire } = require('node:module');
const path = require('node:path');

const client = path.join(__dirname, '..', '..', '..', 'clients', 'express');
const load = createRequire(path.join(client, 'package.json'));
const express = load('express');
const session = load('express-session');
const { PgSession, fromEnvironment } = load(client);

const store = new PgSession(fromEnvironment());
const app = express();
app.set('trust proxy', 'loopback');
app.use(session({
  store,
  name: process.env.SESSION_COOKIE_NAME,
  secret: process.env.LEGACY_SESSION_SECRET,
  resave: false,
  saveUninitialized: false,
  cookie: { sameSite: 'lax', maxAge: 7 * 24 * 3600 * 1000 },
}));

const call = (of, method) => new Promise((resolve, reject) => {
  of[method]((error) => error ? reject(error) : resolve());
});

const on = (route, handle) => app.post(route, (req, res, next) => {
  handle(req.query, req).then((text = '') => res.type('text').end(String(text)), next);
});

/** Waits in the middle of a request until the test goes on. */
const pause = async ({ wait }) => { if (wait !== undefined) await fetch(wait); };

on('/login', async (query, req) => {
  await pause(query);
  await call(req.session, 'regenerate');
  req.session.userId = query.user;
  await call(req.session, 'save');
});
on('/login-in-place', async (query, req) => {
  await pause(query);
  req.session.userId = query.user;
  await call(req.session, 'save');
});
on('/logout', async (query, req) => call(req.session, 'destroy'));
on('/me', async (query, req) => req.session.userId ?? '');
on('/set', async (query, req) => {
  await pause(query);
  req.session[query.k] = query.v;
});
on('/get', async (query, req) => req.session[query.k] ?? '');
on('/handle', async (query, req) => store.handle(req.sessionID));
on('/devices', async (query, req) => {
  const { sessions } = await store.list(req.session.userId);
  return sessions.map((s) => `${s.handle} ${s.ip} ${s.userAgent}`).join('\n');
});
on('/revoke', async (query, req) => store.revoke(req.session.userId, query.handle));
on('/revoke-others', async (query, req) => store.revokeOthers(req));
on('/revoke-user', async (query) => store.revokeUser(query.user));
on('/revoke-all', async () => call(store, 'clear'));

app.use((error, req, res, next) => {
  console.error(`error: ${error.message}`);
  if (res.headersSent) next(error);
  else res.status(error.status ?? 500).type('text').end(error.message);
});

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.once('SIGTERM', () => {
  server.close(() => store.close());
  server.closeAllConnections();
});
