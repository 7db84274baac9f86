'use strict';

// Postgres's text of values, as pg sends and receives it.

/** Returns the text of an array: of Buffers as bytea, of others as text. */
function arrayText(values) {
  const elements = values.map((value) => {
    if (value === null || value === undefined) return 'NULL';
    const text = Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : String(value);
    return `"${text.replace(/[\\"]/g, '\\$&')}"`;
  });
  return `{${elements.join(',')}}`;
}

/** Returns the text of an interval of so many microseconds. */
const intervalText = (microseconds) => `${Math.round(microseconds)} microseconds`;

/** Returns the text of a time in microseconds since 1970. */
function momentText(microseconds) {
  const date = new Date(Math.floor(microseconds / 1000));
  const rest = String(microseconds - date.getTime() * 1000).padStart(3, '0');
  return date.toISOString().replace('Z', `${rest}Z`);
}

/** The last date of Postgres. */
const endOfTime = '294276-12-31 00:00:00+00';

function decodeBytes(text) {
  if (!text.startsWith('\\x')) return decodeEscaped(text);
  return Buffer.from(text.slice(2), 'hex');
}

// With bytea_output = escape.
function decodeEscaped(text) {
  const bytes = [];
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '\\') bytes.push(text.charCodeAt(i));
    else if (text[i + 1] === '\\') bytes.push(text.charCodeAt(++i));
    else {
      bytes.push(Number.parseInt(text.slice(i + 1, i + 4), 8));
      i += 3;
    }
  }
  return Buffer.from(bytes);
}

function decodeBytesArray(text) {
  const found = text.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^,]+/g) ?? [];
  return found.map((element) => decodeBytes(
    element.startsWith('"') ? element.slice(1, -1).replace(/\\(.)/g, '$1') : element));
}

const iso = /^(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/;

/** Returns the microseconds since 1970; Infinity for an infinite time. */
function decodeMoment(text) {
  if (text === 'infinity') return Infinity;
  if (text === '-infinity') return -Infinity;
  const m = iso.exec(text);
  if (m === null) {
    throw new Error('a time of postgres can\'t be read: set DateStyle to ISO for this role');
  }
  const [, year, month, day, hour, minute, second, fraction = '', sign, zh, zm = 0, zs = 0] = m;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  const offset = (Number(zh) * 3600 + Number(zm) * 60 + Number(zs)) * (sign === '-' ? -1 : 1);
  return date.getTime() * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6)) - offset * 1e6;
}

const decoders = {
  id: decodeBytes, key: decodeBytes, seen: decodeBytes, ids: decodeBytesArray,
  created_at: decodeMoment, last_seen_at: decodeMoment, expires_at: decodeMoment,
  absolute_expires_at: decodeMoment, authenticated_at: decodeMoment, pending_since: decodeMoment,
  validated_at: decodeMoment, asked_at: decodeMoment, revoked_at: decodeMoment,
  standby: (text) => text === 't', found: (text) => text === 't',
  count: Number, revoked: Number, active: Number, total: Number,
};

/** Decodes the columns that are not text. */
function decodeRow(row) {
  for (const [column, decode] of Object.entries(decoders)) {
    if (row[column] !== undefined && row[column] !== null) row[column] = decode(row[column]);
  }
  return row;
}

module.exports = { arrayText, decodeRow, endOfTime, intervalText, momentText };
