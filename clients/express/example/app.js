'use strict';

// An Express application beside the Go demo in examples/webapp: one row, one
// cookie. It reads the variables of the Go library, and asks for no password.
//
// It listens on ADDR, by default 127.0.0.1:8081.

const express = require('express');
const session = require('express-session');
const { PgSession, SessionError, fromEnvironment } = require('..');

const { ADDR = '127.0.0.1:8081', GO_URL = 'http://127.0.0.1:8080' } = process.env;
const development = process.env.APP_ENV === 'development';

const store = new PgSession(fromEnvironment());
const app = express();
app.use(session({
  store,
  name: process.env.SESSION_COOKIE_NAME ?? 'connect.sid',
  secret: process.env.LEGACY_SESSION_SECRET,
  resave: false,
  saveUninitialized: false,
  cookie: { secure: !development, sameSite: 'lax', maxAge: 7 * 24 * 3600 * 1000 },
}));
app.use(express.urlencoded({ extended: false, limit: '1mb' }));

// The cookie comes with forms of the other origins of this host.
app.use((req, res, next) => {
  const from = req.get('Sec-Fetch-Site');
  if (req.method === 'POST' && from !== undefined && from !== 'same-origin') {
    res.status(403).end('cross-origin request rejected');
    return;
  }
  res.set('Cache-Control', 'no-store');
  next();
});

/** Gives an asynchronous handler's error to Express. */
const handler = (handle) => (req, res, next) => { handle(req, res).catch(next); };

/** Logs a user in, under a new session id. Values of a visitor are kept. */
async function login(req, userId) {
  const { counter, cart } = req.session;
  await new Promise((resolve, reject) => {
    req.session.regenerate((error) => error ? reject(error) : resolve());
  });
  req.session.userId = userId;
  if (counter !== undefined) req.session.counter = counter;
  if (cart !== undefined) req.session.cart = cart;
  // Saved before the answer, so that a refused login is an error.
  await new Promise((resolve, reject) => {
    req.session.save((error) => error ? reject(error) : resolve());
  });
}

const logout = (req) => new Promise((resolve, reject) => {
  req.session.destroy((error) => error ? reject(error) : resolve());
});

app.get('/', handler(async (req, res) => {
  const { userId, counter = 0, cart = {} } = req.session;
  const current = store.handle(req.sessionID);
  const { sessions } = userId === undefined ? { sessions: [] } : await store.list(userId);
  res.send(page(html`
    <p>${userId === undefined ? 'Nobody is logged in.' : html`Logged in as <b>${userId}</b>.`}
    The <a href="${GO_URL}">Go demo</a> has the same session.</p>
    ${userId === undefined
    ? html`<form method="post" action="/login"><input name="user" aria-label="Name" required
        maxlength="80"> <button>Log in</button></form>`
    : html`<form method="post" action="/logout"><button>Log out</button></form>`}
    <h2>Counter: ${counter}</h2>
    <form method="post" action="/counter"><button>Add one</button></form>
    <h2>Cart</h2>
    <ul>${Object.entries(cart).map(([name, n]) => html`<li>${name}: ${n}</li>`)}</ul>
    <h2>Devices</h2>
    <ul>${sessions.map((s) => html`<li>${s.userAgent ?? 'unknown'}, ${s.ip ?? 'unknown'},
      last seen ${s.lastSeenAt.toISOString()}
      ${s.handle === current ? '(this one)' : html`<form method="post" action="/revoke">
        <input type="hidden" name="handle" value="${s.handle}"><button>End</button></form>`}
      </li>`)}</ul>
    ${sessions.length > 1
    ? html`<form method="post" action="/revoke-others"><button>End all others</button></form>` : ''}
  `));
}));

app.post('/login', handler(async (req, res) => {
  await login(req, req.body.user);
  res.redirect(303, '/');
}));

app.post('/logout', handler(async (req, res) => {
  await logout(req);
  res.redirect(303, '/');
}));

app.post('/counter', (req, res) => {
  req.session.counter = (Number(req.session.counter) || 0) + 1;
  res.redirect(303, '/');
});

app.post('/revoke', handler(async (req, res) => {
  if (req.session.userId !== undefined) {
    await store.revoke(req.session.userId, req.body.handle);
  }
  res.redirect(303, '/');
}));

app.post('/revoke-others', handler(async (req, res) => {
  await store.revokeOthers(req);
  res.redirect(303, '/');
}));

// The interface for programs of the Go demo, which has its values under "api.".

app.post('/api/login', handler(async (req, res) => {
  await login(req, req.query.user);
  res.end();
}));

app.post('/api/logout', handler(async (req, res) => {
  await logout(req);
  res.end();
}));

app.get('/api/me', (req, res) => {
  if (req.session.userId === undefined) res.status(401).type('text').end('not logged in');
  else res.type('text').end(String(req.session.userId));
});

app.post('/api/set', (req, res) => {
  req.session[`api.${req.query.k}`] = req.query.v;
  res.end();
});

app.get('/api/get', (req, res) => {
  const value = req.session[`api.${req.query.k}`];
  if (value === undefined) res.status(404).type('text').end('no such value');
  else res.type('text').end(String(value));
});

app.get('/api/devices', handler(async (req, res) => {
  const { sessions } = await store.list(String(req.session.userId));
  res.json(sessions);
}));

app.post('/api/revoke', handler(async (req, res) => {
  const ended = await store.revoke(String(req.session.userId), req.query.handle);
  res.status(ended ? 200 : 404).end();
}));

app.post('/api/revoke-user', handler(async (req, res) => {
  res.type('text').end(String(await store.revokeUser(req.query.user)));
}));

app.use((error, req, res, next) => {
  console.error(error instanceof SessionError ? `${error.code}: ${error.message}` : error);
  if (res.headersSent) next(error);
  else res.status(error.status ?? 500).type('text').end(error.message);
});

/** Returns the text of a template, with its values escaped unless they are html. */
function html(strings, ...values) {
  const escaped = (value) => {
    if (Array.isArray(value)) return value.map(escaped).join('');
    if (value instanceof Html) return value.text;
    return String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  };
  return new Html(strings.reduce((text, part, i) => text + escaped(values[i - 1]) + part));
}

class Html {
  constructor(text) { this.text = text; }
}

const page = (body) => html`<!doctype html><html lang="en"><meta charset="utf-8">
  <meta name="viewport" content="width=device-width"><title>Express</title>
  <style>body{font:16px/1.5 system-ui;max-width:40rem;margin:2rem auto;padding:0 1rem}</style>
  <h1>Express</h1>${body}</html>`.text;

const [host, port] = [ADDR.slice(0, ADDR.lastIndexOf(':')), ADDR.slice(ADDR.lastIndexOf(':') + 1)];
const server = app.listen(Number(port), host, () => {
  console.log(`express: listening on http://${host}:${server.address().port}`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    server.close(() => store.close());
    server.closeIdleConnections();
  });
}
