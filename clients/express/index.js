'use strict';

const { PgSession } = require('./lib/store');
const { SessionError } = require('./lib/error');
const { fromEnvironment } = require('./lib/environment');

module.exports = { PgSession, SessionError, fromEnvironment };
