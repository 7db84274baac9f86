'use strict';

/**
 * Returns the options that the variables of the Go library stand for, so that
 * Go and Node read their settings in one place. A fault is a TypeError that
 * names the variable and not its value.
 */
function fromEnvironment(environment = process.env) {
  const options = {};
  const text = (name) => environment[name]?.trim() || undefined;
  const put = (option, value) => {
    if (value !== undefined) options[option] = value;
  };
  const number = (name) => {
    const value = text(name);
    if (value !== undefined && !/^\d+$/.test(value)) throw new TypeError(`${name}: must be a number`);
    return value === undefined ? undefined : Number(value);
  };

  put('connectionString', text('DATABASE_URL'));
  put('schema', text('SESSION_SCHEMA'));
  put('idleTimeout', text('SESSION_TIMEOUT'));
  put('absoluteTimeout', text('SESSION_ABSOLUTE_TIMEOUT'));
  put('sliding', flag(text, 'SESSION_SLIDING_WINDOW'));
  put('metadata', flag(text, 'SESSION_TRACK_METADATA'));
  put('maxSessionsPerUser', number('SESSION_MAX_PER_USER'));
  const bits = text('SESSION_IP_PREFIX');
  if (bits !== undefined) options.ipPrefix = bits.split(',').map(Number);
  const profile = text('SESSION_PROFILE');
  if (profile !== undefined && profile.toLowerCase() !== 'none'
    && !(options.idleTimeout && options.absoluteTimeout)) {
    throw new TypeError('SESSION_PROFILE: set SESSION_TIMEOUT and SESSION_ABSOLUTE_TIMEOUT beside'
      + ' it, for Go and Node');
  }
  for (const name of ['SESSION_DENY_AT_MAX', 'SESSION_RECORD_EVENTS', 'USE_REDIS_SESSIONS']) {
    if (flag(text, name)) throw new TypeError(`${name}: not supported beside Node: set it to false`);
  }
  return options;
}

const flags = {
  true: true, 1: true, yes: true, on: true, false: false, 0: false, no: false, off: false,
};

function flag(text, name) {
  const value = text(name)?.toLowerCase();
  if (value === undefined) return undefined;
  if (!Object.hasOwn(flags, value)) throw new TypeError(`${name}: must be true or false`);
  return flags[value];
}

module.exports = { fromEnvironment };
