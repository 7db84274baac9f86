package sessionstore_test

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// recovered answers a panic of next with 500, as the middleware of many
// frameworks does. It passes on http.ErrAbortHandler.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch fault := recover(); fault {
			case nil:
			case http.ErrAbortHandler:
				panic(fault)
			default:
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// A handler panics while another goroutine loads its session. The response
// waits for the load, and no longer.
func TestPanicDuringLoad(t *testing.T) {
	site := newSite(t)
	cookie := site.user("ann")
	held := site.store.hold(store.OpLoad)
	var loading sync.WaitGroup
	resp, _ := visit(recovered(site.m.Handler(http.HandlerFunc(func(
		_ http.ResponseWriter, r *http.Request,
	) {
		loading.Go(func() {
			s, err := sessionstore.FromContext(r.Context())
			expect(t, "load", err, nil)
			_ = s.Set("late", true) // before or after the end of the request
		})
		arrived(t, held)
		defer func() { go held.Release() }()
		panic("a fault of the handler")
	}))), cookie)
	loading.Wait()
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
	site.store.Up()
	expect(t, "afterwards", site.look(cookie, "late"), "user=ann")
}

// A panic after the response has begun, or on a hijacked connection, changes
// nothing: the session was committed before.
func TestPanicAfterResponseBegan(t *testing.T) {
	for name, test := range map[string]struct {
		page  page
		reads string
		fault any
	}{
		"written": {func(w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session) {
			w.WriteHeader(http.StatusAccepted)
			_ = http.NewResponseController(w).Flush()
		}, "HTTP/1.1 202 Accepted", http.ErrAbortHandler},
		"hijacked": {func(w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
				_ = rw.Flush()
				_ = conn.Close()
			}
		}, "HTTP/1.1 101 Switching Protocols", http.ErrAbortHandler},
		"nothing yet": {
			func(http.ResponseWriter, *http.Request, *sessionstore.Session) {}, "",
			http.ErrAbortHandler,
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t)
			cookie := site.user("ann")
			server := httptest.NewServer(recovered(site.serve(func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				_ = s.Set("early", true)
				test.page(w, r, s)
				_ = s.Set("late", true)
				panic(test.fault)
			})))
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			site.check(err)
			defer conn.Close()
			_, err = io.WriteString(conn,
				"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: "+cookieName+"="+cookie+"\r\n\r\n")
			site.check(err)
			line, _ := bufio.NewReader(conn).ReadString('\n')
			server.Close() // waits for the handler
			expect(t, "answer", strings.TrimSpace(line), test.reads)
			want := "user=ann early"
			if test.reads == "" {
				want = "user=ann"
			}
			expect(t, "afterwards", site.look(cookie, "early", "late"), want)
		})
	}
}

// A handler panics while another goroutine's save changes the token. The
// response waits for the save and sends the new cookie.
func TestPanicDuringSaveOfLogin(t *testing.T) {
	// the second one enforces the limit, after the login
	for _, op := range []store.Operation{store.OpRotate, store.OpRevoke} {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.Limits.MaxSessionsPerUser = 3 })
		b := site.browser(site.newcomer())
		held := site.store.hold(op)
		var saving sync.WaitGroup
		status, _ := b.through(recovered, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Login(r.Context(), "ann"))
			saving.Go(func() { site.check(s.Save(context.WithoutCancel(r.Context()))) })
			arrived(t, held)
			defer func() { go held.Release() }()
			panic("a fault of the handler")
		})
		saving.Wait()
		expect(t, "status", status, http.StatusInternalServerError)
		expect(t, "held in "+string(op)+", afterwards", b.who(), "ann")
	}
}

// A Tracer panics in the commit, at the handler's first byte or when it
// returns. The login that was to be saved is void: a save of it would change
// the token, and no cookie would go out. What the store has changed before goes
// out.
func TestPanicInTheCommit(t *testing.T) {
	for _, writes := range []bool{false, true} {
		for op, want := range map[store.Operation]string{
			store.OpRotate: "ann", // the session as it was
			store.OpRevoke: "bob", // the login, whose limit was to be enforced
		} {
			tracer := &faultyTracer{}
			site := newSite(t, func(c *sessionstore.Config) {
				c.Tracer, c.Limits.MaxSessionsPerUser = tracer, 3
			})
			b := site.browser(site.user("ann"))
			tracer.next.Store(string(op))
			status, _ := b.through(recovered, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				site.check(s.Login(r.Context(), "bob"))
				site.check(s.Set("n", 1))
				if writes {
					_, _ = io.WriteString(w, "hello")
				}
			})
			expect(t, "status", status, http.StatusInternalServerError)
			expect(t, "panic in "+string(op)+", afterwards", b.who(), want)
		}
	}
}

// faultyTracer is a Tracer that panics at the next call of an operation.
type faultyTracer struct{ next atomic.Value }

func (p *faultyTracer) TraceStart(ctx context.Context, c sessionstore.Call) context.Context {
	if p.next.CompareAndSwap(string(c.Operation), "") {
		panic("a fault of the tracer")
	}
	return ctx
}

func (*faultyTracer) TraceEnd(context.Context, sessionstore.Call, sessionstore.CallResult) {}

// A handler logs out and panics. The answer reports a failure, and the logout
// is carried out all the same, or else the cookie stays.
func TestPanicAfterLogout(t *testing.T) {
	for _, available := range []bool{true, false} {
		site := newSite(t)
		b := site.browser(site.user("ann"))
		stolen := b.copied()
		if !available {
			site.store.Down(store.OpDelete)
		}
		status, set := b.through(recovered, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			logOut(w, r, s)
			site.check(s.Set("message", "see you"))
			panic("a fault of the handler")
		})
		site.store.Up()
		expect(t, "status", status, http.StatusInternalServerError)
		expect(t, "cookies set", set, map[bool]string{true: "-" + sent}[available])
		expect(t, "the token", stolen.who(), map[bool]string{false: "ann"}[available])
		expect(t, "rows", site.store.rows(), map[bool]int{false: 1}[available])
	}
}

// Goroutines of one request use its session in every way at once, while the
// store loses replies and the handler may panic. The browser keeps its own
// session.
func TestRequestOfManyGoroutines(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := &dice{rng: rand.New(rand.NewPCG(seed, 0))}
	site := newSite(t)
	b := site.browser(site.user("ann"))
	other := site.user("bob")
	ended := 0
	for range 300 {
		var losses atomic.Int32
		loses := site.store.Inject(fault.Rule{When: fault.After, Do: func(
			_ context.Context, c *fault.Call,
		) error {
			if c.Err == nil && dice.strikes(20) {
				losses.Add(1)
				return errLost
			}
			return nil
		}}, store.OpCreate, store.OpSave, store.OpRotate, store.OpDelete)
		leaves, panics := dice.strikes(5), dice.strikes(30)
		var working sync.WaitGroup
		_, _ = b.through(recovered, func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			ctx := context.WithoutCancel(r.Context())
			for _, do := range []func(){
				func() { _ = s.Set("n", 1); _ = s.Save(ctx) },
				func() { _, _ = s.RevokeOthers(ctx); _ = s.Save(ctx) },
				func() { _ = s.Rotate(ctx); _ = s.Save(ctx) },
				func() { _ = s.Login(ctx, "ann"); _ = s.Save(ctx) },
				func() { s.Discard() },
				func() { _, stop := s.Watch(ctx); stop() },
				func() { _, _ = s.Record(); _ = s.UserID() },
				func() {
					if leaves {
						_ = s.Logout(ctx)
					}
				},
			} {
				working.Go(do)
			}
			if panics {
				panic("a fault of the handler")
			}
			w.WriteHeader(http.StatusNoContent)
		})
		working.Wait()
		loses.Release()
		switch who := b.who(); {
		case who == "ann":
		// the Rotate and the Save that asks for its outcome both lost their
		// replies
		case who == "" && (leaves || losses.Load() > 1):
			ended++
			for who != "ann" { // a revoke that has just ended refuses a login of the same moment
				b.cookies = map[string]string{cookieName: site.user("ann")}
				who = b.who()
			}
		default:
			t.Fatalf("the browser is %q's; logged out: %t, panicked: %t", who, leaves, panics)
		}
	}
	expect(t, "another's session", site.look(other), "user=bob")
	t.Logf("%d sessions ended", ended)
}

// dice decides at random.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (d *dice) strikes(percent int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(100) < percent
}
