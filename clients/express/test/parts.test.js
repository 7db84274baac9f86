'use strict';

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { fromEnvironment } = require('..');
const { Client } = require('../lib/client');
const { cookieOf } = require('../lib/cookie');
const { Expiry, milliseconds } = require('../lib/expiry');
const { arrayText, decodeRow, momentText } = require('../lib/text');
const { everyone, handleBytes, handleOf, rowID, userKey } = require('../lib/token');
const { User } = require('../lib/user');

const hour = 3600_000;

test('durations are read as Go reads them', () => {
  for (const [value, want] of [
    ['168h', 168 * hour], ['1h30m', 1.5 * hour], ['1.5h', 1.5 * hour], ['90s', 90_000],
    ['604800000', 604_800_000], [1000, 1000], ['1d', undefined], ['', undefined],
    ['h', undefined], ['-1h', undefined], [NaN, undefined], [null, undefined],
  ]) assert.equal(milliseconds(value), want, String(value));
});

// The values of store.Expiry in Go, in microseconds.
test('deadlines move in the steps of Go', () => {
  for (const [idleTimeout, interval, resolution] of [
    ['168h', 60e6, 3600e6], ['1h', 60e6, 60e6], ['10s', 1e6, 1e6], ['24h', 60e6, 675e6],
  ]) {
    const expiry = new Expiry({ idleTimeout });
    assert.equal(expiry.touchInterval, interval, idleTimeout);
    assert.equal(expiry.resolution, resolution, idleTimeout);
  }
  assert.equal(new Expiry({}).absolute, 720 * hour * 1000);
  assert.equal(new Expiry({ idleTimeout: '1000h' }).absolute, 1000 * hour * 1000);
});

// Computed by Go.
test('ids, handles and keys are those of Go', () => {
  const id = rowID('tCznnEIuDbiwHSWVYXhbmJR-OFDLBcSR');
  assert.equal(id.toString('hex'), '2e6c2bef897e7725b7fec1bc179c7bb1989dc3fa7ec0ecf30ef7a0c08cfde194');
  assert.equal(rowID('short').toString('hex'), 'c620fdf02b848f2b740bfddc94c27fb829eb1772d5dd40ca7c9f156d3594933b');
  assert.equal(handleOf(id), 'uICYnzBhNlESsMYWClaL0w');
  assert.equal(everyone.toString('hex'), 'ba04e158e596199fd6a9b05ebd1c3a28e6eda3711f5aa1e89dd15acffcac85bf');
  assert.equal(userKey('ada').toString('hex'), '52af797c8e05acd583e0c0984ed9169f55d9d634cdbd29fbc672de2cc2964650');
  assert.deepEqual(handleBytes(handleOf(id)).length, 16);
  for (const bad of ['', 'x', `${handleOf(id)}=`, `${handleOf(id)}A`, undefined, {}]) {
    assert.equal(handleBytes(bad), undefined);
  }
});

test('the client of a request', () => {
  const of = (req, options = {}) => new Client(options).of({ headers: {}, ...req });
  for (const [ip, want] of [
    ['203.0.113.7', '203.0.113.7'], ['::ffff:203.0.113.7', '203.0.113.7'],
    ['fe80::1%eth0', 'fe80::1'], ['no address', null], [undefined, null],
  ]) assert.equal(of({ ip }).ip, want);
  assert.equal(of({ socket: { remoteAddress: '10.0.0.1' } }).ip, '10.0.0.1');
  for (const [ip, want] of [
    ['203.0.113.7', '203.0.113.0'], ['2001:db8:aaaa:bbbb::1', '2001:db8:aaaa:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:0'],
  ]) assert.equal(of({ ip }, { ipPrefix: [24, 48] }).ip, want);
  assert.equal(of({ ip: '203.0.113.255' }, { ipPrefix: [25, 128] }).ip, '203.0.113.128');
  assert.deepEqual(of({ ip: '10.0.0.1', headers: { 'user-agent': 'A' } }, { metadata: false }),
    { ip: null, userAgent: null });
  const agent = (text) => of({ headers: { 'user-agent': text } }).userAgent;
  assert.equal(agent('A\x01B\x7f'), 'AB');
  assert.equal(agent(Buffer.from('Löwe').toString('latin1')), 'Löwe');
  assert.equal(agent('a\xffb'), 'ab');
  assert.equal(Buffer.byteLength(agent(Buffer.from('ö'.repeat(400)).toString('latin1'))), 512);
  assert.equal(Buffer.byteLength(agent(Buffer.from(`x${'ö'.repeat(400)}`).toString('latin1'))), 511);
  assert.equal(agent(''), null);
});

test('the text of Postgres', () => {
  assert.equal(arrayText([Buffer.from([0, 255]), null, 'a"b\\c', '']),
    '{"\\\\x00ff",NULL,"a\\"b\\\\c",""}');
  const moment = (text) => decodeRow({ created_at: text }).created_at;
  assert.equal(moment('2026-11-30 14:00:00.000001+00'), Date.UTC(2026, 10, 30, 14) * 1000 + 1);
  assert.equal(moment('2026-11-30 14:00:00.5+05:45'), Date.UTC(2026, 10, 30, 8, 15) * 1000 + 5e5);
  assert.equal(moment('1970-01-01 00:00:00-01'), 3600e6);
  assert.equal(moment('infinity'), Infinity);
  assert.throws(() => moment('30.11.2026 14:00:00 CET'), /DateStyle/);
  assert.equal(momentText(Date.UTC(2026, 10, 30, 14) * 1000 + 1), '2026-11-30T14:00:00.000001Z');
});

test('the variables of Go are options', () => {
  assert.deepEqual(fromEnvironment({
    DATABASE_URL: 'postgres://x', SESSION_TIMEOUT: ' 24h ', SESSION_ABSOLUTE_TIMEOUT: '240h',
    SESSION_SLIDING_WINDOW: 'false', SESSION_SCHEMA: 'web', SESSION_TRACK_METADATA: 'on',
    SESSION_MAX_PER_USER: '5', SESSION_IP_PREFIX: '24,48', SESSION_SECRET: 'x', NODE_ENV: '',
  }), {
    connectionString: 'postgres://x', idleTimeout: '24h', absoluteTimeout: '240h', sliding: false,
    schema: 'web', metadata: true, maxSessionsPerUser: 5, ipPrefix: [24, 48],
  });
  assert.deepEqual(fromEnvironment({}), {});
  for (const [name, value] of [
    ['SESSION_SLIDING_WINDOW', 'maybe'], ['SESSION_MAX_PER_USER', 'many'],
    ['SESSION_PROFILE', 'aal2'], ['SESSION_RECORD_EVENTS', 'true'],
    ['SESSION_DENY_AT_MAX', 'true'], ['USE_REDIS_SESSIONS', 'true'],
  ]) assert.throws(() => fromEnvironment({ [name]: value }), { message: new RegExp(`^${name}:`) });
});

test('the package can be imported as an ES module', () => {
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', `
    import { PgSession, SessionError, fromEnvironment } from 'pgsession-express';
    console.log(typeof PgSession, typeof SessionError, typeof fromEnvironment);
  `], { cwd: __dirname, encoding: 'utf8' });
  assert.equal(out, 'function function function\n');
});

test('the types fit express-session', () => {
  const tsc = require.resolve('typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext',
    '--target', 'es2022', '--types', 'node', path.join(__dirname, 'types.ts')],
  { cwd: path.join(__dirname, '..'), encoding: 'utf8', stdio: 'pipe' });
});

test('a 0 is no user, and what is no number is refused', () => {
  const user = new User({});
  for (const [userId, want] of [
    [0, undefined], [0n, undefined], ['', undefined], [null, undefined], [NaN, undefined], [7, '7'], ['0', '0'],
  ]) assert.equal(user.of({ userId }), want, String(userId));
  assert.equal(user.of({ userId: '', passport: { user: 'ada' } }), 'ada');
  for (const userId of [Infinity, true, {}]) {
    assert.throws(() => user.of({ userId }), /user id/);
  }
});

test('a cookie of another writer has a maximum age that is one', () => {
  for (const originalMaxAge of [1e17, 'x', {}, true]) {
    assert.equal(cookieOf({ originalMaxAge: 1000 }, { originalMaxAge }).originalMaxAge, 1000);
  }
  assert.equal(cookieOf({ originalMaxAge: 1000 }, { originalMaxAge: 5 }).originalMaxAge, 5);
});
