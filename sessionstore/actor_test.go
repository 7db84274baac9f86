package sessionstore_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// Each way to end sessions has its own reason in the event, and the actor.
func TestRevocationEventsHaveReasonAndActor(t *testing.T) {
	const asHerself, ofSupport = "ada", "support:jo"
	for _, tt := range []struct {
		name   string
		end    func(*site, context.Context, *sessionstore.Session, sessionstore.Handle) error
		kind   sessionstore.EventKind
		reason sessionstore.Reason
		whose  string
	}{
		{"a logout", func(
			_ *site, ctx context.Context, s *sessionstore.Session, _ sessionstore.Handle,
		) error {
			if err := s.Logout(ctx); err != nil {
				return err
			}
			return s.Save(ctx)
		}, sessionstore.EventLogout, sessionstore.ReasonLogout, "ada"},
		{"a device", func(
			site *site, ctx context.Context, _ *sessionstore.Session, h sessionstore.Handle,
		) error {
			_, err := site.m.Revoke(ctx, "eve", h)
			return err
		}, sessionstore.EventRevoked, sessionstore.ReasonHandle, "eve"},
		{"all of a user", func(
			site *site, ctx context.Context, _ *sessionstore.Session, _ sessionstore.Handle,
		) error {
			_, err := site.m.RevokeUser(ctx, "eve")
			return err
		}, sessionstore.EventRevoked, sessionstore.ReasonUser, "eve"},
		{"all others", func(
			_ *site, ctx context.Context, s *sessionstore.Session, _ sessionstore.Handle,
		) error {
			_, err := s.RevokeOthers(ctx)
			return err
		}, sessionstore.EventRevoked, sessionstore.ReasonOthers, "ada"},
		{"a tag", func(
			site *site, ctx context.Context, s *sessionstore.Session, _ sessionstore.Handle,
		) error {
			tag := sessionstore.NewTag("organisation", "acme")
			if err := s.Login(ctx, "ada", sessionstore.WithTags(tag)); err != nil {
				return err
			}
			if err := s.Save(ctx); err != nil {
				return err
			}
			_, err := site.m.RevokeTag(ctx, tag)
			return err
		}, sessionstore.EventRevoked, sessionstore.ReasonTag, ""},
		{"all older ones", func(
			site *site, ctx context.Context, _ *sessionstore.Session, _ sessionstore.Handle,
		) error {
			_, err := site.m.RevokeBefore(ctx, time.Now().Add(time.Minute))
			return err
		}, sessionstore.EventRevoked, sessionstore.ReasonBefore, ""},
		{"all sessions", func(
			site *site, ctx context.Context, _ *sessionstore.Session, _ sessionstore.Handle,
		) error {
			_, err := site.m.RevokeAll(ctx)
			return err
		}, sessionstore.EventRevoked, sessionstore.ReasonAll, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for actor, with := range map[string]func(context.Context) context.Context{
				asHerself: func(ctx context.Context) context.Context { return ctx },
				ofSupport: func(ctx context.Context) context.Context {
					return sessionstore.WithActor(ctx, ofSupport, "password changed")
				},
			} {
				site := newSite(t)
				adas, _ := site.user("ada"), site.user("ada")
				var eves sessionstore.Handle
				site.as(site.user("eve"),
					func(_ context.Context, s *sessionstore.Session) { eves = s.Handle() })
				site.seen()
				site.as(adas, func(ctx context.Context, s *sessionstore.Session) {
					site.check(tt.end(site, with(ctx), s, eves))
				})
				e := site.event(tt.kind)
				expect(t, "Reason", e.Reason, tt.reason)
				expect(t, "UserID", e.UserID, tt.whose)
				expect(t, "Actor", e.Actor, actor)
				expect(t, "Detail", e.Detail,
					map[string]string{ofSupport: "password changed"}[actor])
				expect(t, "the handle", tt.reason != sessionstore.ReasonHandle || e.Handle == eves,
					true)
			}
		})
	}
}

// The actor comes from the context alone. Nothing is loaded for it, and without
// WithActor it is unknown.
func TestUnknownActors(t *testing.T) {
	site := newSite(t)
	adas := site.user("ada")
	site.user("eve")
	h := site.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := site.m.RevokeUser(r.Context(), "eve")
		site.check(err)
	}))
	visit(h, adas)
	expect(t, "a request that did not ask for its session",
		site.event(sessionstore.EventRevoked).Actor, "")
	expect(t, "calls of the store", site.store.asked(), "revoke")
	site.seen()

	_, err := site.m.Revoke(sessionstore.WithActor(t.Context(), "support:jo", "a call"), "eve",
		"no handle")
	expect(t, "fails", err != nil, true)
	e := site.event(sessionstore.EventForeignHandle)
	expect(t, "who asked for a handle", e.Actor+" "+e.Detail, "support:jo a call")
	site.seen()

	site.as(adas, func(ctx context.Context, s *sessionstore.Session) {
		_, err := s.RevokeOthers(sessionstore.WithActor(ctx, "", "password changed"))
		site.check(err)
		_, err = site.m.RevokeUser(sessionstore.WithActor(ctx, "", "password changed"), "ada")
		site.check(err)
	})
	e = site.event(sessionstore.EventRevoked)
	expect(t, "a note without a name", e.Actor+": "+e.Detail, "ada: password changed")
}

// The user who logs in is the actor when MaxSessionsPerUser ends an older
// session.
func TestLimitEventHasTheUserAsActor(t *testing.T) {
	site := newSite(t, func(cfg *sessionstore.Config) { cfg.Limits.MaxSessionsPerUser = 1 })
	site.user("ada")
	site.visit("", site.login("ada"))
	e := site.event(sessionstore.EventRevoked)
	expect(t, "Reason", e.Reason, sessionstore.ReasonLimit)
	expect(t, "Actor", e.Actor, "ada")
}
