package gorillastore

import (
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/sessions"
)

func TestOriginsKeepNoSession(t *testing.T) {
	var o origins
	kept := sessions.NewSession(nil, "kept")
	o.add(kept, &request{})
	for range 100 {
		o.add(sessions.NewSession(nil, "gone"), &request{})
	}
	count := func() (n int) {
		o.requests.Range(func(any, any) bool { n++; return true })
		return n
	}
	for end := time.Now().Add(time.Minute); count() > 1; {
		if time.Now().After(end) {
			t.Fatalf("%d sessions are left", count())
		}
		runtime.GC()
	}
	runtime.KeepAlive(kept)
}
