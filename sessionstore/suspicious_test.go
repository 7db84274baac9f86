package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	laptop = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	newer  = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
	phone  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
	home   = "203.0.113.5"
	cafe   = "198.51.100.7"
)

// watchful returns a site that compares clients.
func watchful(t *testing.T, change ...func(*sessionstore.Config)) *site {
	t.Helper()
	return newSite(t, append([]func(*sessionstore.Config){
		func(cfg *sessionstore.Config) { cfg.Suspicion.DisableCheck = false },
	}, change...)...)
}

func acting(action sessionstore.SuspiciousAction) func(*sessionstore.Config) {
	return func(cfg *sessionstore.Config) { cfg.Suspicion.Action = action }
}

// come makes one request from an address with a user agent, and returns the
// browser's cookie after it.
func (s *site) come(cookie, addr, agent string, p page) string {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(addr), 1234).String()
	r.Header.Set("User-Agent", agent)
	if cookie != "" {
		r.Header.Set("Cookie", cookieName+"="+cookie)
	}
	if c, ok := sessionCookie(send(s.serve(p), r)); ok {
		return c.Value
	}
	return cookie
}

// userAt logs a user in from an address, with a value in the cart.
func (s *site) userAt(addr, agent string) string {
	s.t.Helper()
	cookie := s.come("", addr, agent, func(
		_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
	) {
		s.check(sess.Set("cart", 1))
		s.check(sess.Login(r.Context(), "ada"))
	})
	s.seen()
	s.store.asked()
	return cookie
}

// sees returns what a request from an address sees of a session.
func (s *site) sees(cookie, addr, agent string) (seen string) {
	s.t.Helper()
	s.come(cookie, addr, agent, func(
		_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session,
	) {
		_, stored := sess.Record()
		seen = fmt.Sprintf("user=%s cart=%t fresh=%t stored=%t", sess.UserID(), sess.Has("cart"),
			sess.Fresh(time.Hour), stored)
	})
	return seen
}

const (
	everything = "user=ada cart=true fresh=true stored=true"
	emptiness  = "user= cart=false fresh=false stored=false"
)

func TestSuspiciousUseIsObserved(t *testing.T) {
	for _, tt := range []struct{ name, addr, agent, detail string }{
		{"the same client", home, laptop, ""},
		{"a browser that was updated", home, newer, ""},
		{"another address of the network", "203.0.200.1", laptop, ""},
		{"IPv6 in place of IPv4", "2001:db8::1", laptop, ""},
		{"another program", home, "curl/8.0", "user agent"},
		{"another network", cafe, laptop, "network"},
		{"both", cafe, phone, "user agent, network"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := watchful(t)
				defer func() { site.check(site.m.Close()) }()
				cookie := site.userAt(home, laptop)
				expect(t, "what it sees", site.sees(cookie, tt.addr, tt.agent), everything)
				if tt.detail == "" {
					expect(t, "events", site.seen(), "")
					return
				}
				e := site.event(sessionstore.EventSuspicious)
				expect(t, "Detail", e.Detail, tt.detail)
				expect(t, "UserID", e.UserID, "ada")
				expect(t, "Was", e.Suspicion.Was,
					sessionstore.Client{IP: netip.MustParseAddr(home), UserAgent: laptop})
				expect(t, "Is", e.Suspicion.Is,
					sessionstore.Client{IP: netip.MustParseAddr(tt.addr), UserAgent: tt.agent})
				expect(t, "a new user agent", e.Suspicion.UserAgent,
					strings.Contains(tt.detail, "agent"))
				expect(t, "a new network", e.Suspicion.Network,
					strings.Contains(tt.detail, "network"))
				expect(t, "events", site.seen(), "session suspicious")

				// The new place is saved at once, so that it is one event.
				time.Sleep(sessionstore.TouchEvery)
				synctest.Wait()
				expect(t, "what it sees a second later", site.sees(cookie, tt.addr, tt.agent),
					everything)
				expect(t, "events a second later", site.seen(), "")
			})
		})
	}
}

func TestSuspiciousCheckCanBeTurnedOff(t *testing.T) {
	for name, change := range map[string]func(*sessionstore.Config){
		"the check":    func(cfg *sessionstore.Config) { cfg.Suspicion.DisableCheck = true },
		"the metadata": func(cfg *sessionstore.Config) { cfg.Privacy.DisableMetadata = true },
	} {
		t.Run(name, func(t *testing.T) {
			site := watchful(t, change, func(cfg *sessionstore.Config) {
				cfg.Suspicion.Judge = func(
					context.Context, sessionstore.Suspicion,
				) sessionstore.SuspiciousAction {
					t.Error("the judge is asked")
					return sessionstore.ActionRevoke
				}
			})
			cookie := site.userAt(home, laptop)
			expect(t, "what it sees", site.sees(cookie, cafe, phone), everything)
			expect(t, "events", site.seen(), "")
		})
	}
}

func TestSuspiciousUseRequiresALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := watchful(t, acting(sessionstore.ActionRequireLogin))
		defer func() { site.check(site.m.Close()) }()
		cookie := site.userAt(home, laptop)
		// it stays hidden, with one event
		for _, events := range []string{"session suspicious", "", ""} {
			expect(t, "what the stranger sees", site.sees(cookie, cafe, phone), emptiness)
			if events != "" {
				expect(t, "Detail", site.event(sessionstore.EventSuspicious).Detail,
					"user agent, network: login required")
			}
			expect(t, "events", site.seen(), events)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
		}
		expect(t, "uses noted", len(site.store.of(store.OpTouch)), 0)
		expect(t, "what its owner sees", site.sees(cookie, home, laptop), everything)
		expect(t, "events", site.seen(), "")

		// The login of another user is a session of its own and leaves this one
		// as it is.
		eves := site.come(cookie, cafe, phone, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Login(r.Context(), "eve"))
			expect(t, "the cart of the other session", s.Has("cart"), false)
		})
		expect(t, "the other user has a session", eves != cookie, true)
		expect(t, "what its owner sees", site.sees(cookie, home, laptop), everything)

		// A login that is discarded or fails does not show the hidden session.
		site.come(cookie, cafe, phone, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Login(r.Context(), "ada"))
			expect(t, "the cart before", s.Has("cart"), true)
			s.Discard()
			expect(t, "the user after Discard", s.UserID(), "")
			expect(t, "the cart after Discard", s.Has("cart"), false)
		})
		expect(t, "after Discard", site.sees(cookie, cafe, phone), emptiness)

		// A login of the session's user shows it, under a new token.
		mine := site.come(cookie, cafe, phone, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Login(r.Context(), "ada"))
		})
		site.seen()
		expect(t, "a new token", mine != cookie, true)
		expect(t, "what the owner sees", site.sees(mine, cafe, phone), everything)
		expect(t, "events", site.seen(), "")
		expect(t, "the old token", site.sees(cookie, home, laptop), emptiness)
		expect(t, "sessions", site.store.rows(), 2) // one of ada, one of eve
	})
}

// A thief makes a phone's user agent of the victim's, by a part that the family
// leaves out.
func TestForgedPhoneIsSuspicious(t *testing.T) {
	forged := strings.Replace(laptop, "rv:128.0", "Mobi", 1)
	for action, after := range map[sessionstore.SuspiciousAction]string{
		sessionstore.ActionRequireLogin: everything, sessionstore.ActionRevoke: emptiness,
	} {
		for _, agent := range []string{laptop, ""} {
			t.Run(action.String()+", "+agent, func(t *testing.T) {
				site := watchful(t, acting(action))
				cookie := site.userAt(home, agent)
				expect(t, "what the thief sees", site.sees(cookie, cafe, forged), emptiness)
				expect(t, "what the thief sees again", site.sees(cookie, cafe, forged), emptiness)
				expect(t, "what the owner sees", site.sees(cookie, home, laptop), after)
			})
		}
	}
}

func TestLoginAfterSuspicionAlwaysRotates(t *testing.T) {
	site := watchful(t, acting(sessionstore.ActionRequireLogin),
		func(cfg *sessionstore.Config) { cfg.DisableRotateOnLogin = true })
	cookie := site.userAt(home, laptop)
	mine := site.come(cookie, cafe, phone, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada"))
	})
	expect(t, "a new token", mine != cookie, true)
	expect(t, "what the owner sees", site.sees(mine, cafe, phone), everything)
	expect(t, "what the old token is good for", site.sees(cookie, home, laptop), emptiness)
}

// Values that a request sets beside a hidden session go into a new session,
// never into that of the user.
func TestSuspiciousUseCanStartASession(t *testing.T) {
	site := watchful(t, acting(sessionstore.ActionRequireLogin))
	cookie := site.userAt(home, laptop)
	other := site.come(cookie, cafe, phone, func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("other", true))
	})
	expect(t, "another session", other != cookie, true)
	site.come(other, cafe, phone, func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		expect(t, "what it holds", s.Has("other") && !s.Has("cart") && s.UserID() == "", true)
	})
	expect(t, "what its owner sees", site.sees(cookie, home, laptop), everything)
}

func TestSuspiciousUseCanLogOut(t *testing.T) {
	site := watchful(t, acting(sessionstore.ActionRequireLogin))
	cookie := site.userAt(home, laptop)
	after := site.come(cookie, cafe, phone, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Logout(r.Context()))
	})
	expect(t, "the cookie", after, "")
	expect(t, "sessions", site.store.rows(), 0)
	e := site.event(sessionstore.EventLogout)
	expect(t, "whose", e.UserID, "ada")
	expect(t, "without an actor", e.Actor, "")
}

func TestSuspiciousUseEndsTheSession(t *testing.T) {
	site := watchful(t, acting(sessionstore.ActionRevoke))
	cookie := site.userAt(home, laptop)
	expect(t, "what the stranger sees", site.sees(cookie, cafe, phone), emptiness)
	e := site.event(sessionstore.EventSuspicious)
	expect(t, "Detail", e.Detail, "user agent, network: revoked")
	expect(t, "Revocation", e.Revocation.Committed, true)
	revoked := site.event(sessionstore.EventRevoked)
	expect(t, "whose", revoked.Handle, e.Handle)
	expect(t, "why", revoked.Reason, sessionstore.ReasonSuspicious)
	expect(t, "without an actor", revoked.Actor, "")
	expect(t, "events", site.seen(), "session suspicious, sessions revoked")
	expect(t, "sessions", site.store.rows(), 0)
	expect(t, "what its owner sees", site.sees(cookie, home, laptop), emptiness)
}

// A session that can't be ended is hidden instead, and a login does not show
// it.
func TestSuspiciousUseWithFailedRevoke(t *testing.T) {
	site := watchful(t, acting(sessionstore.ActionRevoke))
	cookie := site.userAt(home, laptop)
	site.store.Down(store.OpDelete)
	expect(t, "what the stranger sees", site.sees(cookie, cafe, phone), emptiness)
	expect(t, "Err", site.event(sessionstore.EventSuspicious).Err != nil, true)
	expect(t, "events", site.seen(), "session suspicious")
	site.store.Up()
	expect(t, "what the stranger sees then", site.sees(cookie, cafe, phone), emptiness)
	expect(t, "sessions", site.store.rows(), 0)
}

// A request whose session could not be ended can still log out.
func TestLogoutAfterAFailedRevoke(t *testing.T) {
	site := watchful(t, acting(sessionstore.ActionRevoke))
	cookie := site.userAt(home, laptop)
	refused := site.store.Down(store.OpDelete)
	after := site.come(cookie, cafe, phone, func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		refused.Release()
		site.check(s.Logout(r.Context()))
	})
	expect(t, "the cookie", after, "")
	expect(t, "sessions", site.store.rows(), 0)
}

// Everyday changes of network and browser must not log the user out.
func TestPolicyIgnoresEverydayChanges(t *testing.T) {
	for _, action := range []sessionstore.SuspiciousAction{
		sessionstore.ActionRequireLogin, sessionstore.ActionRevoke,
	} {
		for _, tt := range []struct{ name, was, wasAgent, is, isAgent string }{
			{"a browser update", home, laptop, home, newer},
			{"a phone that leaves the house", home, phone, cafe, phone},
			{
				"a phone that leaves the house and is updated", home, phone, cafe,
				strings.ReplaceAll(phone, "126", "139"),
			},
			{
				"a phone between two carriers of IPv6", "2001:db8:1::1", phone, "2001:db8:2::1",
				phone,
			},
			{"IPv4 to IPv6", home, laptop, "2001:db8:1::1", laptop},
			{"IPv6 to IPv4", "2001:db8:1::1", laptop, cafe, laptop},
			{"a new address from the same provider", home, laptop, "203.0.250.250", laptop},
			{
				"a new address in the same IPv6 network", "2001:db8:1:1::1", laptop,
				"2001:db8:1:ffff::9", laptop,
			},
			{"a user agent that is not sent", home, laptop, home, ""},
		} {
			t.Run(action.String()+", "+tt.name, func(t *testing.T) {
				site := watchful(t, acting(action))
				cookie := site.userAt(tt.was, tt.wasAgent)
				expect(t, "what it sees", site.sees(cookie, tt.is, tt.isAgent), everything)
				expect(t, "sessions", site.store.rows(), 1)
			})
		}
	}
}

// A visitor can't log in again, so the session stays visible.
func TestPolicyObservesVisitors(t *testing.T) {
	for _, action := range []sessionstore.SuspiciousAction{
		sessionstore.ActionRequireLogin, sessionstore.ActionRevoke,
	} {
		site := watchful(t, acting(action))
		cookie := site.come("", home, laptop, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
		})
		site.seen()
		expect(t, "what it sees", site.sees(cookie, cafe, phone),
			"user= cart=true fresh=false stored=true")
		expect(t, "events", site.seen(), "session suspicious")
	}
}

func TestJudgeDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []sessionstore.Suspicion
		verdict := sessionstore.ActionObserve
		site := watchful(t, acting(sessionstore.ActionRequireLogin), func(
			cfg *sessionstore.Config,
		) {
			cfg.Suspicion.Judge = func(
				ctx context.Context, s sessionstore.Suspicion,
			) sessionstore.SuspiciousAction {
				asked = append(asked, s)
				if _, err := sessionstore.FromContext(ctx); err == nil {
					t.Error("the judge gets the session, which is locked")
				}
				return verdict
			}
		})
		defer func() { site.check(site.m.Close()) }()
		cookie := site.userAt(home, laptop)
		began := time.Now()
		time.Sleep(30 * time.Second)
		expect(t, "the same client", site.sees(cookie, home, laptop), everything)
		expect(t, "times the judge was asked", len(asked), 0)

		expect(t, "observed", site.sees(cookie, cafe, laptop), everything)
		s := asked[0]
		expect(t, "the judge's Suspicion", s.UserID == "ada" && s.Network && !s.UserAgent &&
			s.Was.IP.String() == home && s.Is.IP.String() == cafe, true)
		expect(t, "what the policy says", s.Action, sessionstore.ActionRequireLogin)
		expect(t, "LastSeenAt", s.LastSeenAt.Equal(began), true)
		expect(t, "Now", s.Now.Sub(began), 30*time.Second)

		verdict = 7 // an unknown action is not taken for ActionObserve
		expect(t, "nonsense", site.sees(cookie, home, phone), emptiness)
		verdict = sessionstore.ActionRevoke
		expect(t, "revoked", site.sees(cookie, home, phone), emptiness)
		expect(t, "sessions", site.store.rows(), 0)
	})
}

func TestAddressesAreTruncatedFirst(t *testing.T) {
	site := watchful(t,
		func(cfg *sessionstore.Config) { cfg.Privacy.IPv4Prefix, cfg.Privacy.IPv6Prefix = 24, 48 })
	for addr, want := range map[string]string{
		"203.0.113.77": "203.0.113.0", "2001:db8:1:2:3::4": "2001:db8:1::",
	} {
		cookie := site.userAt(addr, laptop)
		expect(t, "the address that is kept", lastDraft(site).IP.String(), want)
		site.sees(cookie, addr, "curl/8.0")
		e := site.event(sessionstore.EventSuspicious)
		expect(t, "the address in the event", e.Suspicion.Is.IP.String(), want)
		site.seen()
	}
}

// Without a trusted proxy on a unix socket, or with a middleware that breaks
// RemoteAddr, only browsers can be compared. The log warns about that.
func TestUnknownAddressIsLoggedOnce(t *testing.T) {
	trusting := func(cfg *sessionstore.Config) { cfg.TrustUnixSocket = true }
	for _, tt := range []struct {
		name, remote, forwarded string
		change                  func(*sessionstore.Config)
		want                    int
	}{
		{"a unix socket", "@", home, nothingElse, 1},
		{"a trusted unix socket", "@", home, trusting, 0},
		{"a trusted unix socket without the header", "@", "", trusting, 1},
		{"RealIP", home, "", nothingElse, 0},
		{"junk", "junk", "", nothingElse, 1},
		{
			"without the check", "@", home,
			func(cfg *sessionstore.Config) { cfg.Suspicion.DisableCheck = true }, 0,
		},
		{
			"without the metadata", "@", home,
			func(cfg *sessionstore.Config) { cfg.Privacy.DisableMetadata = true }, 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := watchful(t, tt.change)
			for range 3 {
				r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
				r.RemoteAddr = tt.remote
				if tt.forwarded != "" {
					r.Header.Set("X-Forwarded-For", tt.forwarded)
				}
				site.serve(nothing).ServeHTTP(httptest.NewRecorder(), r)
			}
			expect(t, "lines", strings.Count(site.log.String(), "client address unknown"), tt.want)
		})
	}
}

// A server on a real unix socket.
func TestProxyOnUnixSocket(t *testing.T) {
	site := watchful(t, func(cfg *sessionstore.Config) { cfg.TrustUnixSocket = true })
	srv := &http.Server{Handler: site.serve(func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("here", true))
	})}
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(
		ctx context.Context, _, _ string,
	) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop.example/", nil)
	r.Header.Set("X-Forwarded-For", home)
	r.Header.Set("X-Forwarded-Proto", "https")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	is := lastDraft(site).Client
	expect(t, "the client's address", is.IP.String(), home)
	expect(t, "https is believed", strings.Contains(site.log.String(), "plain http"), false)
}

// A page with a video makes requests of the player too, with the same cookie.
func TestMediaPlayerIsTheSameBrowser(t *testing.T) {
	const iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
	for _, browser := range []string{laptop, phone, iPhone} {
		for _, player := range []string{
			"AppleCoreMedia/1.0.0.21F79 (iPhone; U; CPU OS 17_5 like Mac OS X; en_us)",
			"AppleCoreMedia/1.0.0.23F79 (Macintosh; U; Intel Mac OS X 14_5; en_us)",
			"MobileSafari/8618.2.12 CFNetwork/1496.0.7 Darwin/23.5.0",
			"com.apple.WebKit.Networking/8618.2.12 CFNetwork/1496 Darwin/23.5.0",
			"QuickTime/7.6.9 (qtver=7.6.9;cpu=IA32;os=Mac 10.6.8)",
			"stagefright/1.2 (Linux;Android 10)",
			"ExoPlayerDemo/2.19.1 (Linux; Android 14) ExoPlayerLib/2.19.1",
			"AndroidXMedia3/1.3.1",
			"AndroidDownloadManager/14 (Linux; U; Android 14; Pixel 8 Build/AP1A)",
			"Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A)",
			"okhttp/4.12.0",
			"NSPlayer/12.00.19041.4355 WMFSDK/12.00.19041.4355",
			"Windows-Media-Player/12.0.19041.4355",
			"Lavf/60.16.100",
			"GStreamer souphttpsrc 1.22.11 libsoup/3.4.4",
			"VLC/3.0.20 LibVLC/3.0.20",
			"Mozilla/5.0 (Linux; Android 7.0; SM-G930V) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0 Mobile Safari/537.36 (compatible; Google-Read-Aloud; +https://support.google.com/webmasters/answer/1061943)",
		} {
			t.Run(player+" for "+browser, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					site := watchful(t, acting(sessionstore.ActionRevoke))
					defer func() { site.check(site.m.Close()) }()
					cookie := site.userAt(home, browser)
					for range 2 { // a save and a touch
						time.Sleep(2 * time.Minute)
						site.come(cookie, home, player, func(
							_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
						) {
							expect(t, "the user", s.UserID(), "ada")
							site.check(s.Set("watched", true))
						})
						time.Sleep(2 * time.Minute)
						expect(t, "what the player sees", site.sees(cookie, home, player),
							everything)
						time.Sleep(sessionstore.TouchEvery)
						synctest.Wait()
					}
					expect(t, "events", site.seen(), "")
					site.come(cookie, home, browser, func(
						_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
					) {
						rec, _ := s.Record()
						expect(t, "the stored agent", rec.UserAgent, browser)
					})
					// In a train the player may be the first to have another
					// address.
					if browser != laptop {
						expect(t, "what it sees from another network",
							site.sees(cookie, cafe, player), everything)
					}
				})
			})
		}
	}
}

// An app logs in with its own HTTP library and continues in a web view. That is
// no suspicion, and the web view becomes the session's browser.
func TestBrowserAfterFetcherIsTheSameBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := watchful(t, acting(sessionstore.ActionRevoke))
		defer func() { site.check(site.m.Close()) }()
		cookie := site.userAt(home, "okhttp/4.12.0")
		time.Sleep(2 * time.Minute)
		expect(t, "what the browser sees", site.sees(cookie, home, phone), everything)
		time.Sleep(sessionstore.TouchEvery)
		synctest.Wait()
		expect(t, "what the app sees", site.sees(cookie, home, "okhttp/4.12.0"), everything)
		expect(t, "events", site.seen(), "")
		site.come(cookie, home, phone, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			rec, _ := s.Record()
			expect(t, "the stored agent", rec.UserAgent, phone)
		})
		expect(t, "what another browser sees", site.sees(cookie, home, laptop), emptiness)
	})
}

// An attacker's hundred requests are one event, and so is a user with two
// browsers in turn. Another place or another action is a further event.
func TestSuspiciousPlaceIsOneEvent(t *testing.T) {
	for _, action := range []sessionstore.SuspiciousAction{
		sessionstore.ActionObserve, sessionstore.ActionRequireLogin,
	} {
		t.Run(action.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				verdict := action
				site := watchful(t, func(cfg *sessionstore.Config) {
					cfg.Suspicion.Judge = func(
						context.Context, sessionstore.Suspicion,
					) sessionstore.SuspiciousAction {
						return verdict
					}
				})
				defer func() { site.check(site.m.Close()) }()
				cookie := site.userAt(home, laptop)
				count := func() int64 { return site.m.Count(sessionstore.EventSuspicious) }
				come := func(addr, agent string) {
					site.sees(cookie, addr, agent)
					time.Sleep(sessionstore.TouchEvery)
					synctest.Wait()
				}
				updated := strings.Replace(phone, "Chrome/126", "Chrome/139", 1)
				for range 20 {
					come(cafe, phone)
					come(home, laptop)
					come("198.51.222.1", updated)
				}
				expect(t, "events", count(), 1)
				come(cafe, "curl/8.0")
				expect(t, "events, with another program", count(), 2)
				come("192.0.2.1", phone)
				expect(t, "events, with another network", count(), 3)

				other := site.userAt(home, laptop)
				site.sees(other, cafe, phone)
				expect(t, "events, with another session", count(), 4)

				verdict = sessionstore.ActionRevoke
				come(cafe, phone)
				expect(t, "events, with another action", count(), 5)
			})
		})
	}
}

// A hidden or revoked session does not set the persistence of the session that
// replaces it. The login keeps its own choice.
func TestRememberMeOfHiddenSession(t *testing.T) {
	for _, tt := range []struct {
		action  sessionstore.SuspiciousAction
		user    string
		choice  string // before the login
		taken   bool   // the login is discarded and made again
		persist bool
	}{
		{sessionstore.ActionRequireLogin, "eve", "", false, false},
		{sessionstore.ActionRequireLogin, "eve", "yes", false, true},
		{sessionstore.ActionRequireLogin, "ada", "", false, true},
		{sessionstore.ActionRequireLogin, "ada", "", true, true},
		{sessionstore.ActionRequireLogin, "ada", "no", false, false},
		{sessionstore.ActionRequireLogin, "ada", "no", true, true},
		{sessionstore.ActionRevoke, "ada", "", false, false},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			site := watchful(t, acting(tt.action))
			login := func(r *http.Request, s *sessionstore.Session, user string) {
				site.check(s.Login(r.Context(), user))
			}
			cookie := site.come("", home, laptop, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				login(r, s, "ada")
				site.check(s.RememberMe(true))
			})
			site.come(cookie, cafe, laptop, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				expect(t, "remembered before", s.Remembered(), false)
				if tt.choice != "" {
					site.check(s.RememberMe(tt.choice == "yes"))
				}
				login(r, s, tt.user)
				if tt.taken {
					s.Discard()
					login(r, s, tt.user)
				}
				expect(t, "remembered", s.Remembered(), tt.persist)
			})
		})
	}
}

func lastDraft(s *site) store.Draft {
	calls := s.store.of(store.OpCreate)
	return calls[len(calls)-1].Draft
}

// A pending login is watched as a user's session is: another browser does not
// complete it.
func TestSuspiciousUseOfAPendingLogin(t *testing.T) {
	for action, want := range map[sessionstore.SuspiciousAction]string{
		sessionstore.ActionObserve:      "ada",
		sessionstore.ActionRequireLogin: "",
		sessionstore.ActionRevoke:       "",
	} {
		judged := sessionstore.Suspicion{}
		site := watchful(t, func(c *sessionstore.Config) {
			c.Suspicion.Judge = func(
				_ context.Context, s sessionstore.Suspicion,
			) sessionstore.SuspiciousAction {
				judged = s
				return action
			}
		})
		cookie := site.come("", home, laptop, site.begin("ada"))
		site.seen()
		stolen := site.come(cookie, cafe, phone, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			expect(t, action.String()+": PendingUserID", s.PendingUserID(), want)
			err := s.CompleteLogin(r.Context())
			if refused := errors.Is(err, sessionstore.ErrNoPendingLogin); refused != (want == "") {
				t.Errorf("%v: CompleteLogin: %v", action, err)
			}
		})
		site.come(stolen, cafe, phone, func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			expect(t, action.String()+": UserID", s.UserID(), want)
		})
		expect(t, "whose, for the Judge", judged.UserID, "ada")
		expect(t, "Pending, for the Judge", judged.Pending, true)
		expect(t, "whose", site.event(sessionstore.EventSuspicious).UserID, "ada")
		if action == sessionstore.ActionRevoke {
			expect(t, "whose, revoked", site.event(sessionstore.EventRevoked).UserID, "ada")
			expect(t, "sessions", site.store.rows(), 0)
		}
		if action != sessionstore.ActionRequireLogin {
			continue
		}
		// Begun anew from there, the hidden one ends: nobody else can.
		site.come(cookie, cafe, phone, site.begin("ada"))
		expect(t, "sessions", site.store.rows(), 1)
	}
}
