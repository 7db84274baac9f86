package sessionstore

import (
	"context"
	"log/slog"
)

var eventLevels = [eventKinds]slog.Level{
	EventCreated: slog.LevelDebug, EventLogin: slog.LevelInfo, EventRotated: slog.LevelDebug, EventLogout: slog.LevelInfo,
	EventRevoked: slog.LevelInfo, EventForeignHandle: slog.LevelWarn, EventLimitFailed: slog.LevelWarn, EventLoginRefused: slog.LevelWarn,
	EventExpired: slog.LevelDebug, EventSessionNotFound: slog.LevelDebug, EventForged: slog.LevelInfo, EventCookieConflict: slog.LevelWarn,
	EventLoadFailed: slog.LevelWarn, EventSuspicious: slog.LevelWarn, EventChangeLost: slog.LevelInfo, EventChangeLate: slog.LevelError,
	EventDiscarded: slog.LevelInfo, EventSaveFailed: slog.LevelError, EventTouchFailed: slog.LevelWarn, EventUncached: slog.LevelWarn,
	EventWatchFailed: slog.LevelWarn,
	EventPruned:      slog.LevelDebug, EventPruneFailed: slog.LevelWarn,
	EventEmergencyBegan: slog.LevelError, EventRestoreFailed: slog.LevelError, EventEmergencyEnded: slog.LevelWarn,
	EventDropped: slog.LevelWarn,
}

// logObserver is the default Observer: a line for each event, at the level its
// kind deserves, with the time at which it happened. What a stranger can cause
// has one line a second for each kind, after ten at once. The next one says how
// many were omitted.
func logObserver(log *slog.Logger) Observer {
	rates := new([eventKinds]lineRate)
	return func(ctx context.Context, e Event) {
		level := eventLevels[e.Kind]
		if r := e.Revocation; !r.CacheAcked && r.MaxExposure > 0 { // other instances may serve it meanwhile
			level = max(level, slog.LevelWarn)
		}
		if !log.Enabled(ctx, level) {
			return
		}
		omitted := 0
		if limited(&e) {
			burst := lineBurst
			if e.Kind == EventLoadFailed {
				burst = 1 // an outage is one fact, however many requests it meets
			}
			var ok bool
			if omitted, ok = rates[e.Kind].take(e.At, burst, logOmitted(log, e.Kind)); !ok {
				return
			}
		}
		line := slog.NewRecord(e.At, level, e.Kind.String(), 0)
		text := func(key, value string) {
			if value != "" {
				line.AddAttrs(slog.String(key, value))
			}
		}
		text("session", string(e.Handle))
		text("user_id", e.UserID)
		text("reason", e.Reason.String())
		text("actor", e.Actor)
		text("detail", e.Detail)
		if e.Count != 0 {
			line.AddAttrs(slog.Int("count", e.Count))
		}
		if e.Revocation.MaxExposure > 0 {
			line.AddAttrs(slog.Duration("max_exposure", e.Revocation.MaxExposure))
		}
		if e.Err != nil {
			line.AddAttrs(slog.Any("error", e.Err))
		}
		if omitted > 0 {
			line.AddAttrs(slog.Int("omitted", omitted))
		}
		_ = log.Handler().Handle(ctx, line)
	}
}
