import express = require('express');
import session = require('express-session');
import { Pool } from 'pg';
import { fromEnvironment, PgSession, SessionError } from 'pgsession-express';

declare module 'express-session' {
  interface SessionData { userId: string }
}

const store = new PgSession({
  ...fromEnvironment(),
  pool: new Pool(),
  idleTimeout: '168h',
  userId: (sess) => sess.userId,
  setUserId: (sess, userId) => { sess.userId = userId; },
});
const app = express();
app.use(session({ store, secret: 'x', resave: false, saveUninitialized: false }));
app.get('/', async (req, res) => {
  const { sessions, next } = await store.list(req.session.userId ?? '', { limit: 10 });
  const ended: boolean = await store.revoke('ada', sessions[0].handle);
  const count: number = await store.revokeUser('ada', req) + await store.revokeOthers(req);
  res.json({ ended, count, next, current: store.handle(req.sessionID) });
});
app.use((error: unknown, _req: express.Request, res: express.Response, _next: express.NextFunction) => {
  if (error instanceof SessionError) res.status(error.status).end(error.code);
});
store.on('changeLost', () => {});
void store.close();
