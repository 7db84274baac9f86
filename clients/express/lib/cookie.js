'use strict';

// A session may have a cookie of its own, such as with the maxAge of "remember
// me". The row keeps the attributes that differ from the options of
// express-session as the member "cookie", which Go leaves as it is.

const attributes = [
  'originalMaxAge', 'path', 'httpOnly', 'secure', 'sameSite', 'domain', 'partitioned', 'priority',
];

/** Returns the attributes of a cookie of express-session. */
function attributesOf(cookie) {
  const found = {};
  for (const name of attributes) {
    const value = cookie[name] ?? null;
    // The Cookie computes it from two readings of the clock.
    found[name] = name === 'originalMaxAge' && typeof value === 'number'
      ? Math.round(value / 1000) * 1000 : value;
  }
  return found;
}

/** Returns the attributes in which a cookie differs from usual, as JSON. */
function ownAttributes(cookie, usual) {
  const all = attributesOf(cookie);
  const own = attributes.filter(
    (name) => cookie[name] !== undefined && all[name] !== usual[name]);
  return own.length === 0 ? undefined : JSON.stringify(all, own);
}

/**
 * Returns the cookie of a stored session for createSession of express-session:
 * usual, with the attributes that the row has.
 */
function cookieOf(usual, stored) {
  const own = typeof stored === 'object' && stored !== null ? stored : {};
  const cookie = {};
  for (const name of attributes) {
    const value = Object.hasOwn(own, name) ? own[name] : usual[name];
    if (value !== null) cookie[name] = value;
  }
  const { originalMaxAge: maxAge = null } = cookie;
  cookie.originalMaxAge = maxAge;
  cookie.expires = maxAge === null ? null : new Date(Date.now() + maxAge).toISOString();
  return cookie;
}

module.exports = { attributesOf, cookieOf, ownAttributes };
