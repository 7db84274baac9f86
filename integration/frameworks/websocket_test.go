package frameworks

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/sessiontest"
)

// A WebSocket has the session of its handshake, which sets the cookie. It ends
// with the session, and what it changes is saved.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	sessions := sessiontest.New(t)
	closed := make(chan error, 1)
	server := httptest.NewServer(sessions.Handler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			if err == nil {
				err = s.Login(r.Context(), "ada")
			}
			if err != nil {
				t.Error(err)
			}
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				closed <- err
				return
			}
			defer conn.CloseNow()
			ctx, stop := s.Watch(r.Context())
			defer stop()
			for {
				_, message, err := conn.Read(ctx)
				if err == nil {
					err = s.Set("last", string(message))
				}
				if err == nil {
					err = s.Save(ctx)
				}
				if err == nil {
					answer := fmt.Append(nil, s.UserID(), ": ", string(message))
					err = conn.Write(ctx, websocket.MessageText, answer)
				}
				if err != nil {
					closed <- context.Cause(ctx)
					return
				}
			}
		})))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if n := len(resp.Cookies()); n != 1 {
		t.Errorf("%d cookies in the handshake, want 1", n)
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := conn.Read(ctx); err != nil || string(answer) != "ada: hello" {
		t.Errorf("%q, %v", answer, err)
	}
	after := sessions.After(t, httptest.NewRequest(http.MethodGet, "/", nil), resp)
	var last string
	if _, err := after.Get("last", &last); err != nil || last != "hello" {
		t.Errorf("last message %q, %v", last, err)
	}
	if _, err := sessions.RevokeUser(ctx, "ada"); err != nil {
		t.Fatal(err)
	}
	select {
	case cause := <-closed:
		if cause == nil {
			t.Error("the WebSocket ended by itself")
		}
	case <-ctx.Done():
		t.Error("the WebSocket outlives its session")
	}
}
