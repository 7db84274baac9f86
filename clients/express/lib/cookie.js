'use strict';

// A session may have a cookie of its own, such as with the maxAge of "remember
// me". The row keeps the attributes that differ from the options of
// express-session as the member "cookie", which Go leaves as it is.

const attributes = [
  'originalMaxAge', 'path', 'httpOnly', 'secure', 'sameSite', 'domain', 'partitioned', 'priority',
];

const century = 100 * 365 * 24 * 3600_000;

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
    const known = value === null || ['string', 'number', 'boolean'].includes(typeof value);
    if (known && value !== null) cookie[name] = value;
  }
  // Another writer may have put there what is no age; a century is in range.
  const { originalMaxAge = null } = cookie;
  const isAge = Number.isFinite(originalMaxAge) && Math.abs(originalMaxAge) < century;
  const maxAge = isAge ? originalMaxAge : usual.originalMaxAge;
  cookie.originalMaxAge = maxAge;
  cookie.expires = maxAge === null ? null : new Date(Date.now() + maxAge).toISOString();
  return cookie;
}

module.exports = { attributesOf, cookieOf, ownAttributes };
