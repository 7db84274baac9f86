'use strict';

const net = require('node:net');

const maxUserAgent = 512;

/**
 * Client reads where a request came from: what the Go library keeps of a
 * client, in the same form. Its options must have the values of Go's Privacy.
 */
class Client {
  #track;
  #bits;
  #address;

  constructor({ metadata = true, ipPrefix, clientIp = addressOf }) {
    this.#track = Boolean(metadata);
    this.#bits = prefixes(ipPrefix);
    this.#address = clientIp;
  }

  /** Returns ip and userAgent; null for what is unknown or not kept. */
  of(req) {
    if (!this.#track || req?.headers === undefined) return { ip: null, userAgent: null };
    return {
      ip: truncated(plain(this.#address(req)), this.#bits),
      userAgent: cleanUserAgent(req.headers['user-agent']),
    };
  }
}

// Express's own, by its setting "trust proxy", or that of the connection.
const addressOf = (req) => req.ip ?? req.socket?.remoteAddress;

function prefixes(value) {
  if (value === undefined) return { 4: 0, 6: 0 };
  const [v4, v6] = Array.isArray(value) ? value : [];
  if (!(Number.isInteger(v4) && v4 > 0 && v4 <= 32 && Number.isInteger(v6) && v6 > 0 && v6 <= 128)) {
    throw new TypeError('ipPrefix: must be the bits to keep of IPv4 and of IPv6, such as [24, 48]');
  }
  return { 4: v4, 6: v6 };
}

/** Returns an address without its zone, and one of IPv4 as such; null for none. */
function plain(address) {
  if (typeof address !== 'string') return null;
  const bare = address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
  return net.isIP(bare) === 0 ? null : bare;
}

/** Sets all but the first bits of an address to zero. */
function truncated(address, bits) {
  const family = address === null ? 0 : net.isIP(address);
  if (family === 0 || bits[family] === 0) return address;
  const groups = family === 4 ? address.split('.').map(Number) : words(address);
  const size = family === 4 ? 8 : 16;
  const kept = groups.map((group, i) => {
    const cut = Math.min(size, Math.max(0, size * (i + 1) - bits[family]));
    return (group >> cut) << cut;
  });
  return family === 4 ? kept.join('.') : kept.map((group) => group.toString(16)).join(':');
}

/** Returns the eight words of an address of IPv6. */
function words(address) {
  const dotted = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    `${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`);
  const [head, tail] = dotted.split('::').map((half) => half.split(':').filter(Boolean));
  const rest = tail ?? [];
  const zeros = Array(8 - head.length - rest.length).fill('0');
  return [...head, ...(tail ? zeros : []), ...rest].map((word) => Number.parseInt(word, 16));
}

/** Returns the part of a user agent that the table accepts; null for none. */
function cleanUserAgent(text) {
  if (typeof text !== 'string') return null;
  const utf8 = Buffer.from(text, 'latin1').toString(); // Node reads headers as Latin-1
  const clean = Buffer.from(utf8.replace(/[\p{Cc}\ufffd]/gu, ''));
  const cut = clean.subarray(0, maxUserAgent).toString().replace(/\ufffd$/, '');
  return cut === '' ? null : cut;
}

module.exports = { Client };
