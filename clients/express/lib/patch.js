'use strict';

const { Session } = require('express-session');
const { badData } = require('./error');

const maxKey = 255;

// Members that JSON.stringify writes and jsonb refuses: NUL, and half of a
// surrogate pair. Others it writes unescaped.
const refusedText = /(?:^|[^\\])(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/**
 * Reports whether express-session would leave out a member: its Session has a
 * method or a property of this name. The row keeps such a member as it is.
 */
const isReserved = (key) => key === 'cookie' || key === 'req' || key === 'id'
  || key in Session.prototype;

/**
 * Returns the members of a session, each as JSON, without its cookie. The error
 * names the key of a member that can't be stored, and not its value.
 */
function membersOf(session) {
  const members = new Map();
  for (const key of Object.keys(session)) {
    if (key === 'cookie') continue;
    let json;
    try {
      json = JSON.stringify(session[key]);
    } catch {
      throw badData(`the value of ${JSON.stringify(key)} can't be represented as JSON`);
    }
    if (json === undefined) continue; // as in JSON.stringify of the session
    members.set(key, json);
  }
  return members;
}

/** Throws if a member that changed can't be stored. */
function check(changed) {
  for (const [key, json] of changed) {
    const name = JSON.stringify(key);
    if (key === '' || Buffer.byteLength(key) > maxKey) {
      throw badData(`the key ${name.slice(0, 80)} must have 1 to ${maxKey} bytes`);
    }
    if (refusedText.test(json) || refusedText.test(name)) {
      throw badData(`the value of ${name} holds a NUL or half of a surrogate pair,`
        + ' which postgres cannot store');
    }
  }
}

/** Returns the JSON object of these members. */
function objectOf(members) {
  return `{${[...members].map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`;
}

/**
 * Returns what a session has changed since base: changed members, and the names
 * of those that are gone. Two requests that change different members both
 * succeed.
 */
function difference(base, members) {
  const changed = new Map([...members].filter(([key, json]) => base.get(key) !== json));
  const removed = [...base.keys()].filter((key) => !members.has(key));
  return { changed, removed };
}

module.exports = { check, difference, isReserved, membersOf, objectOf };
