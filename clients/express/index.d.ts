import type { Request } from 'express';
import { SessionData, Store } from 'express-session';
import type { Pool } from 'pg';

/** A number of milliseconds, or a duration as Go writes it, such as '168h'. */
export type Duration = number | string;

/**
 * Options of a PgSession. Those of timeouts, privacy and limits must have the
 * values of the Go library's Config: both change the same rows.
 */
export interface PgSessionOptions {
  /** The pool of the application. The store does not close it. */
  pool?: Pick<Pool, 'query'>;
  /** A Postgres URL, for a pool of the store's own. Without a pool it is required. */
  connectionString?: string;
  /** The schema that `migrate -schema` made. Defaults to pgsession. */
  schema?: string;
  /** Go's Config.IdleTimeout. Defaults to 7 days. */
  idleTimeout?: Duration;
  /** Go's Config.AbsoluteTimeout. Defaults to 30 days, or to idleTimeout if that is longer. */
  absoluteTimeout?: Duration;
  /** False is Go's Config.DisableSliding. Defaults to true. */
  sliding?: boolean;
  /** False is Go's Privacy.DisableMetadata. Defaults to true. */
  metadata?: boolean;
  /** Go's Privacy.IPv4Prefix and IPv6Prefix. Defaults to whole addresses. */
  ipPrefix?: [number, number];
  /** Go's Limits.MaxSessionsPerUser. Defaults to 0, for no limit. */
  maxSessionsPerUser?: number;
  /** Go's Limits.MaxDataSize, in bytes of JSON. Defaults to 64 KiB. */
  maxDataSize?: number;
  /** Returns the id of the user in a session. Defaults to userId, then passport.user. */
  userId?: (session: any) => string | number | bigint | null | undefined;
  /** Writes what userId reads; undefined removes it. Required with userId. */
  setUserId?: (session: any, userId: string | undefined) => void;
  /** The user is in passport.user alone. Defaults to false. */
  passport?: boolean;
  /** Returns the client's address. Defaults to req.ip, or that of the connection. */
  clientIp?: (req: Request) => string | undefined;
  /** Bounds each statement, with its wait for a connection. Defaults to 5 s. */
  timeout?: Duration;
  /** Sends named prepared statements. Defaults to false. */
  prepared?: boolean;
}

/** A session as a list shows it, without its data. */
export interface SessionInfo {
  /** The public name of the session, for revoke. It is no credential. */
  handle: string;
  /** Whether Go has begun a login in it that is not completed. */
  pending: boolean;
  loginId?: string;
  createdAt: Date;
  /** The user's last login in the session. */
  authenticatedAt?: Date;
  /** The last use that was written, at most a minute before the last use. */
  lastSeenAt: Date;
  expiresAt: Date;
  absoluteExpiresAt: Date;
  ip?: string;
  userAgent?: string;
}

/** A page of sessions, the newest first. */
export interface SessionPage {
  sessions: SessionInfo[];
  /** The place of the next page; undefined on the last one. */
  next?: string;
}

/**
 * A store for express-session over the sessions of pgsession.
 *
 * It emits 'changeLost' with a handle if a session has ended before a change was
 * saved, and 'touchFailed' with an error if a use could not be written.
 */
export class PgSession extends Store {
  constructor(options: PgSessionOptions);

  get(sid: string, callback: (err: any, session?: SessionData | null) => void): void;
  set(sid: string, session: SessionData, callback?: (err?: any) => void): void;
  touch(sid: string, session: SessionData, callback?: () => void): void;
  destroy(sid: string, callback?: (err?: any) => void): void;
  /** Reads all sessions into memory. Their ids are not known. */
  all(callback: (err: any, sessions?: SessionData[] | null) => void): void;
  /** Counts the live sessions. It reads every row. */
  length(callback: (err: any, length?: number) => void): void;
  /** Ends the sessions of all users and visitors. */
  clear(callback?: (err?: any) => void): void;

  /** Returns the public name of the session with this id. */
  handle(sid: string): string;
  /** Returns the live sessions of a user: 100, or limit, at most 1000. */
  list(userId: string | number, page?: { limit?: number; after?: string }): Promise<SessionPage>;
  /** Ends the session of a user that has a handle, and reports if it did. */
  revoke(userId: string | number, handle: string): Promise<boolean>;
  /**
   * Ends all sessions of a user, and logins that are under way. It returns how
   * many sessions. With req, a later login in that request is not refused.
   */
  revokeUser(userId: string | number, req?: object): Promise<number>;
  /** Ends all sessions of the request's user but its own. */
  revokeOthers(req: object): Promise<number>;
  /** Closes the pool that the store has opened. */
  close(): Promise<void>;
}

/** An error of the store. It holds no token, session id or data. */
export class SessionError extends Error {
  code: 'ERR_SESSION_UNAVAILABLE' | 'ERR_SESSION_OUTCOME_UNKNOWN' | 'ERR_SESSION_REVOKED'
    | 'ERR_SESSION_ENDED' | 'ERR_SESSION_EXISTS' | 'ERR_SESSION_DATA';
  /** The HTTP status for Express: 503, 403 or 500. */
  status: number;
  sqlState?: string;
}

/**
 * Returns the options that the environment variables of the Go library stand
 * for, such as DATABASE_URL and SESSION_TIMEOUT.
 */
export function fromEnvironment(environment?: Record<string, string | undefined>): PgSessionOptions;
