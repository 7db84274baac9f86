'use strict';

const { badData } = require('./error');

const maxUserID = 256;

/**
 * User finds the id of the user in a session of express-session. The row has it
 * in a column of its own, which decides: Go logs users in and out there.
 */
class User {
  #get;
  #set;

  constructor({ userId, setUserId, passport = false }) {
    if ((userId === undefined) !== (setUserId === undefined)) {
      throw new TypeError('userId, setUserId: need each other: one reads what the other writes');
    }
    this.#get = userId ?? (passport ? passportUser : usualUser);
    this.#set = setUserId ?? (passport ? setPassportUser : setUsualUser);
  }

  /**
   * Returns the id of the user as text, or undefined without one. Applications
   * take a 0 for none.
   */
  of(session) {
    const id = this.#get(session);
    if (id === undefined || id === null || id === '' || id === 0 || id === 0n) return undefined;
    if (!['string', 'number', 'bigint'].includes(typeof id)
        || typeof id === 'number' && !Number.isFinite(id)) {
      throw badData(`the user id is ${typeof id}, and must be a string or a number:`
        + ' set the options userId and setUserId');
    }
    const text = String(id);
    if (Buffer.byteLength(text) > maxUserID || text.includes('\0') || !text.isWellFormed()) {
      throw badData(`the user id must have 1 to ${maxUserID} bytes of UTF-8 and no NUL`);
    }
    return text;
  }

  /** Makes a loaded session have the user of its row. */
  reconcile(session, userId) {
    if (this.#has(session, userId)) return;
    this.#set(session, userId);
    if (!this.#has(session, userId)) {
      throw new Error('setUserId does not write what userId reads: correct these options');
    }
  }

  #has(session, userId) {
    try {
      return this.of(session) === userId;
    } catch {
      return false;
    }
  }
}

const usualUser = (session) => session.userId || passportUser(session);
const passportUser = (session) => session.passport?.user;

function setUsualUser(session, userId) {
  if (session.passport?.user !== undefined) setPassportUser(session, userId);
  if (userId === undefined) delete session.userId;
  else session.userId = userId;
}

function setPassportUser(session, userId) {
  if (userId === undefined) delete session.passport.user;
  else session.passport = { ...session.passport, user: userId };
}

module.exports = { User };
