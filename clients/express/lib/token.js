'use strict';

const { createHash } = require('node:crypto');

const sha256 = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/**
 * Returns the id of the row of a session. The token is the id of
 * express-session itself if it has 32 bytes, as by default, and else its
 * SHA-256. Go computes the same.
 */
function rowID(sid) {
  const bytes = Buffer.from(sid, 'utf8');
  return sha256(bytes.length === 32 ? bytes : sha256(bytes));
}

const handleLabel = Buffer.from('pgsession handle v1\0');

/** Returns the public name of a session, by the id of its row. */
const handleOf = (id) => sha256(handleLabel, id).subarray(0, 16).toString('base64url');

/** Returns the bytes of a handle, or undefined if no session has it. */
function handleBytes(handle) {
  if (typeof handle !== 'string') return undefined;
  const bytes = Buffer.from(handle, 'base64url');
  return bytes.length === 16 && bytes.toString('base64url') === handle ? bytes : undefined;
}

// The key of a revoke mark: purpose and value, each after its length.
function markKey(purpose, value) {
  const parts = [];
  for (const text of [purpose, value]) {
    const bytes = Buffer.from(text, 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return sha256(...parts);
}

/** The key of a revoke of all users. */
const everyone = markKey('all', '');

/** Returns the key of a revoke of a user. */
const userKey = (userId) => markKey('user', userId);

module.exports = { everyone, handleBytes, handleLabel, handleOf, rowID, userKey };
