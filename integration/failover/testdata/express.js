'use strict';

// Makes one call of the store for Express, with the database of DATABASE_URL,
// and prints its result, or the code of its error.
//
//	express.js login USER   prints the id of a new session
//	express.js get ID       prints the user of a session, null without one
//	express.js revoke USER  prints how many sessions it ended

const session = require('../../../clients/express/node_modules/express-session');
const { PgSession, fromEnvironment } = require('../../../clients/express');

const store = new PgSession(fromEnvironment());
const [call, argument] = process.argv.slice(2);

const promised = (method, ...args) => new Promise((resolve, reject) => {
  store[method](...args, (error, value) => error ? reject(error) : resolve(value));
});

async function login(user) {
  session({ store, secret: 'not used', resave: false, saveUninitialized: false });
  const req = { headers: {}, sessionStore: store };
  store.generate(req);
  req.session.userId = user;
  await promised('set', req.sessionID, req.session);
  return req.sessionID;
}

const calls = {
  login,
  get: async (id) => (await promised('get', id))?.userId ?? null,
  revoke: (user) => store.revokeUser(user),
};

calls[call](argument).catch((error) => error.code ?? error.message)
  .then((result) => { console.log(String(result)); })
  .finally(() => store.close());
