package peers

import (
	"context"
	"encoding/base64"
	"encoding/gob"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/adapters/scsstore"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

type basket struct{ Items []string }

func init() { gob.Register(basket{}) }

const scsTable = `
CREATE TABLE public.sessions (
	token text PRIMARY KEY, data bytea NOT NULL, expiry timestamptz NOT NULL
);
CREATE INDEX sessions_expiry_idx ON public.sessions (expiry)`

// shop is an application of scs, before and after it has moved.
type shop struct {
	t       *testing.T
	pool    *pgxpool.Pool
	manager *sessionstore.Manager
	store   *scsstore.Store

	old, now *httptest.Server
}

func newShop(t *testing.T, takeOver bool) *shop {
	t.Helper()
	databaseURL := pgtest.Database(t)
	s := &shop{t: t, pool: pgtest.Pool(t, databaseURL)}
	pgtest.Exec(t, s.pool, scsTable)
	before := pgxstore.NewWithCleanupInterval(s.pool, 0)
	scsBefore := scs.New()
	scsBefore.Store = before
	s.old = s.serve(scsBefore, scsBefore.LoadAndSave)

	var err error
	s.manager, err = sessionstore.New(t.Context(), s.pool, sessionstore.Config{
		Secrets: []sessionstore.Secret{"peers-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.manager.Close() })
	o := scsstore.Options{UserKey: "user", Pool: s.pool}
	if takeOver {
		o.TakeOver = &scsstore.TakeOver{
			Table: scsstore.Table{Name: "public.sessions"}, Until: time.Now().Add(time.Hour),
		}
	}
	s.store = scsstore.New(s.manager.Store(), o)
	scsNow := scs.New()
	scsNow.Store, scsNow.Codec = s.store, s.store.Codec()
	s.now = s.serve(scsNow, s.store.Wrap(scsNow.LoadAndSave))
	return s
}

func (s *shop) serve(m *scs.SessionManager, wrap func(http.Handler) http.Handler) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if err := m.RenewToken(r.Context()); err != nil {
			s.t.Error(err)
		}
		m.Put(r.Context(), "user", r.FormValue("user"))
		m.Put(r.Context(), "basket", basket{Items: []string{"tea", r.FormValue("user")}})
		m.Put(r.Context(), "visits", 7)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b, _ := m.Get(r.Context(), "basket").(basket)
		fmt.Fprintf(w, "%s%d%s", m.GetString(r.Context(), "user"),
			m.GetInt(r.Context(), "visits"), b.Items)
	})
	mux.HandleFunc("/put", func(w http.ResponseWriter, r *http.Request) {
		m.Put(r.Context(), r.FormValue("key"), true)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, m.Keys(r.Context()))
	})
	mux.HandleFunc("/become", func(w http.ResponseWriter, r *http.Request) {
		user := m.GetString(r.Context(), "user")
		if _, err := s.manager.RevokeUser(r.Context(), user); err != nil {
			s.t.Error(err)
		}
		if err := m.RenewToken(r.Context()); err != nil {
			s.t.Error(err)
		}
		m.Put(r.Context(), "user", r.FormValue("user"))
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		if err := m.Destroy(r.Context()); err != nil {
			s.t.Error(err)
		}
	})
	srv := httptest.NewServer(wrap(mux))
	s.t.Cleanup(srv.Close)
	return srv
}

// browser keeps its cookies for both servers, which share a host.
type browser struct {
	t *testing.T
	http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{t, http.Client{Jar: jar}}
}

func (b *browser) get(srv *httptest.Server, path string) string {
	b.t.Helper()
	response, err := b.Get(srv.URL + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s, %v: %s", path, response.Status, err, text)
	}
	return string(text)
}

// logIn logs n users in, before the move.
func (s *shop) logIn(n int) (users []*browser) {
	for i := range n {
		b := newBrowser(s.t)
		b.get(s.old, fmt.Sprintf("/login?user=u%d", i))
		users = append(users, b)
	}
	return users
}

func seen(i int) string { return fmt.Sprintf("u%d7[tea u%d]", i, i) }

func (s *shop) count(table string) int64 {
	return pgtest.One[int64](s.t, s.pool, "SELECT count(*) FROM "+table)
}

func TestAnImportLogsNoUserOut(t *testing.T) {
	s := newShop(t, false)
	users := s.logIn(30)
	pgtest.Exec(t, s.pool, `INSERT INTO public.sessions VALUES
		('expired', '', now() - interval '1 hour'), ('bad', 'secret', now() + interval '1 hour')`)
	from := scsstore.Table{Name: "public.sessions"}
	dry, err := s.store.Import(t.Context(), from, scsstore.ImportOptions{DryRun: true})
	if err != nil || dry.Moved != 30 || dry.Bad != 1 || s.count("pgsession.sessions") != 0 {
		t.Fatalf("%+v, %v: a dry run moves nothing", dry, err)
	}
	calls := 0
	got, err := s.store.Import(t.Context(), from, scsstore.ImportOptions{
		Batch: 7, Progress: func(scsstore.Imported) { calls++ },
	})
	if err != nil || got.Moved != 30 || got.Bad != 1 || got.Dropped != 0 || calls != 5 {
		t.Fatalf("%+v, %v, %d calls", got, err, calls)
	}
	if got.Err == nil || strings.Contains(got.Err.Error(), "secret") || len(got.BadRows) != 1 {
		t.Errorf("%v, %v", got.Err, got.BadRows)
	}
	if n := s.count("public.sessions"); n != 2 {
		t.Errorf("%d rows are left, want the bad one and the expired one", n)
	}
	for i, b := range users {
		if text := b.get(s.now, "/"); text != seen(i) {
			t.Errorf("%q, want %q", text, seen(i))
		}
	}
	list, err := s.manager.List(t.Context(), "u3", sessionstore.Page{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	if _, err := s.manager.RevokeUser(t.Context(), "u3"); err != nil {
		t.Fatal(err)
	}
	if text := users[3].get(s.now, "/"); text != "0[]" {
		t.Errorf("%q after a revoke", text)
	}
	users[4].get(s.now, "/logout")
	if _, err := s.store.Import(t.Context(), from, scsstore.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{3, 4} {
		if text := users[i].get(s.now, "/"); text != "0[]" {
			t.Errorf("%q: a second import brought user %d back", text, i)
		}
	}
}

// A mark refuses the sessions of its user, also those of before.
func TestAnImportAfterARevoke(t *testing.T) {
	s := newShop(t, false)
	users := s.logIn(3)
	if _, err := s.manager.RevokeUser(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	got, err := s.store.Import(t.Context(), scsstore.Table{}, scsstore.ImportOptions{})
	if err != nil || got.Moved != 2 || got.Dropped != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range []string{seen(0), "0[]", seen(2)} {
		if text := users[i].get(s.now, "/"); text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
	users[0].get(s.now, "/put?key=a")
	if text := users[0].get(s.now, "/keys"); text != "[a basket user visits]" {
		t.Errorf("%q", text)
	}
}

// On Citus a session needs an entry of its user, which a move does not make:
// the session would survive a revoke.
func TestNothingMovesToCitus(t *testing.T) {
	for name, move := range map[string]func(*shop, []*browser){
		"import": func(s *shop, _ []*browser) {
			_, err := s.store.Import(t.Context(), scsstore.Table{}, scsstore.ImportOptions{})
			if err == nil || !strings.Contains(err.Error(), "distributed by Citus") {
				t.Errorf("%v", err)
			}
		},
		"take-over": func(s *shop, users []*browser) {
			response, err := users[0].Get(s.now.URL + "/")
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusInternalServerError {
				t.Error(response.Status)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, name == "take-over")
			users := s.logIn(2)
			pgtest.Distribute(t, s.pool)
			move(s, users)
			if n := pgtest.One[int](t, s.pool, "SELECT count(*) FROM public.sessions"); n != 2 {
				t.Errorf("%d sessions are left", n)
			}
			if n := pgtest.One[int](t, s.pool, "SELECT count(*) FROM pgsession.sessions"); n != 0 {
				t.Errorf("%d sessions moved", n)
			}
		})
	}
}

// One row that the table refuses is left out, and the others of its batch move.
func TestARowThatTheTableRefuses(t *testing.T) {
	s := newShop(t, false)
	users := s.logIn(5)
	large := strings.Repeat("x", 300) // as a user id
	users[2].get(s.old, "/login?user="+large)
	data, err := scs.GobCodec{}.Encode(time.Now().Add(time.Hour), map[string]any{
		"blob": incompressible(3 << 20),
	})
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, s.pool,
		"INSERT INTO public.sessions VALUES ('large', $1, now() + interval '1 hour')", data)
	got, err := s.store.Import(t.Context(), scsstore.Table{}, scsstore.ImportOptions{})
	if err != nil || got.Moved != 4 || got.Bad != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if text := users[4].get(s.now, "/"); text != seen(4) {
		t.Errorf("%q", text)
	}
}

func incompressible(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

func TestTakeOverAtTheFirstUse(t *testing.T) {
	s := newShop(t, true)
	users := s.logIn(8)
	var tabs sync.WaitGroup
	for i, b := range users {
		for range 10 {
			tabs.Go(func() {
				if text := b.get(s.now, "/"); text != seen(i) {
					t.Errorf("%q, want %q", text, seen(i))
				}
			})
		}
	}
	tabs.Wait()
	if here, there := s.count("pgsession.sessions"), s.count("public.sessions"); here != 8 ||
		there != 0 {
		t.Errorf("%d rows here and %d there, want 8 and 0", here, there)
	}
	users[1].get(s.now, "/logout")
	if text := users[1].get(s.now, "/"); text != "0[]" {
		t.Errorf("%q after a logout", text)
	}
	stranger := newBrowser(t)
	at, _ := url.Parse(s.now.URL)
	stranger.Jar.SetCookies(at, []*http.Cookie{
		{Name: "session", Value: base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
	})
	if text := stranger.get(s.now, "/"); text != "0[]" {
		t.Errorf("%q for a stranger", text)
	}
}

func (b *browser) token(srv *httptest.Server) string {
	b.t.Helper()
	at, _ := url.Parse(srv.URL)
	for _, c := range b.Jar.Cookies(at) {
		if c.Name == "session" {
			return c.Value
		}
	}
	b.t.Fatal("no cookie")
	return ""
}

func TestALogoutBeforeTheTakeOver(t *testing.T) {
	s := newShop(t, true)
	user := s.logIn(1)[0]
	if err := s.store.Delete(user.token(s.old)); err != nil {
		t.Fatal(err)
	}
	if text := user.get(s.now, "/"); text != "0[]" || s.count("public.sessions") != 0 {
		t.Errorf("%q: the take-over brought the session back", text)
	}
}

// An instance of before that still runs saves the session after its logout
// here.
func TestARowThatIsWrittenAfterTheLogout(t *testing.T) {
	for how, move := range map[string]func(*shop) error{
		"take-over": func(*shop) error { return nil },
		"import": func(s *shop) error {
			got, err := s.store.Import(t.Context(), scsstore.Table{}, scsstore.ImportOptions{})
			if got.Dropped != 1 {
				t.Errorf("%+v, want one dropped", got)
			}
			return err
		},
	} {
		t.Run(how, func(t *testing.T) {
			s := newShop(t, true)
			user := s.logIn(1)[0]
			pgtest.Exec(t, s.pool, "CREATE TABLE public.late AS TABLE public.sessions")
			copied := newBrowser(t)
			at, _ := url.Parse(s.now.URL)
			copied.Jar.SetCookies(at, user.Jar.Cookies(at))
			user.get(s.now, "/logout")
			pgtest.Exec(t, s.pool, "INSERT INTO public.sessions SELECT * FROM public.late")
			if err := move(s); err != nil {
				t.Error(err)
			}
			if text := copied.get(s.now, "/"); text != "0[]" || s.count("pgsession.sessions") != 0 {
				t.Errorf("%q: the session is back", text)
			}
		})
	}
}

// A change of user that asks for no password is no way around a revoke.
func TestARevokedUserOfSCSBecomesNoOther(t *testing.T) {
	s := newShop(t, false)
	for _, user := range []string{"eve", "ada"} {
		b := newBrowser(t)
		b.get(s.now, "/login?user=eve")
		response, err := b.Get(s.now.URL + "/become?user=" + user)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusInternalServerError {
			t.Errorf("to %s: %s", user, response.Status)
		}
		if text := b.get(s.now, "/"); text != "0[]" || s.count("pgsession.sessions") != 0 {
			t.Errorf("to %s: %q, the session is back", user, text)
		}
	}
}

func TestTenTabsOfSCS(t *testing.T) {
	s := newShop(t, false)
	b := newBrowser(t)
	b.get(s.now, "/login?user=ada")
	var tabs sync.WaitGroup
	for i := range 10 {
		tabs.Go(func() { b.get(s.now, fmt.Sprintf("/put?key=k%d", i)) })
	}
	tabs.Wait()
	want := "[basket k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 user visits]"
	if text := b.get(s.now, "/keys"); text != want {
		t.Errorf("%s, want %s", text, want)
	}
}

// All sessions but those of the Manager, and what Iterate does with them.
func TestIterateOfSCS(t *testing.T) {
	s := newShop(t, false)
	for i := range 3 {
		newBrowser(t).get(s.now, fmt.Sprintf("/login?user=u%d", i))
	}
	pgtest.Exec(t, s.pool, `INSERT INTO pgsession.sessions (id, expires_at, absolute_expires_at)
		SELECT pg_catalog.sha256('x'), t, t FROM (SELECT now() + interval '1 hour') AS u (t)`)
	m := scs.New()
	m.Store, m.Codec = s.store, s.store.Codec()
	n := 0
	err := m.Iterate(t.Context(), func(ctx context.Context) error {
		if n++; m.GetString(ctx, "user") != "u1" {
			return nil
		}
		return m.Destroy(ctx)
	})
	if left := s.count("pgsession.sessions"); err != nil || n != 3 || left != 3 {
		t.Errorf("%v: %d sessions, %d rows left", err, n, left)
	}
}
