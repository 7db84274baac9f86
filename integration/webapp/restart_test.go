package webapp_test

import (
	"net/http"
	"testing"
)

func TestSessionsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	for name, environment := range map[string][]string{
		"development": {development}, // without a secret
		"production":  {production, withSecret},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := append(environment, "DATABASE_URL="+application(t))
			first := start(t, environment...)
			v := visit(t, first.url)
			v.want("GET /api/me", http.StatusUnauthorized, "")
			v.want("POST /api/login?user=alice", http.StatusOK, "")
			v.want("GET /api/me", http.StatusOK, "alice")
			v.want("POST /api/set?k=color&v=blue", http.StatusOK, "")
			v.want("GET /api/get?k=color", http.StatusOK, "blue")
			v.want("GET /api/get?k=size", http.StatusNotFound, "")

			first.terminate()
			first.ended()
			v.site = start(t, environment...).url

			v.want("GET /api/me", http.StatusOK, "alice")
			v.want("GET /api/get?k=color", http.StatusOK, "blue")
			kept := *v
			v.want("POST /api/logout", http.StatusOK, "")
			if v.cookie != "" {
				t.Error("the logout left the cookie")
			}
			v.want("GET /api/me", http.StatusUnauthorized, "")
			// a copy of the cookie
			kept.want("GET /api/me", http.StatusUnauthorized, "")
		})
	}
}

// A process that draws its own secret would refuse the other's cookies.
func TestAMemoryStoreEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	first := start(t, development, withSecret)
	v := login(t, first.url, "alice")
	v.want("GET /api/me", http.StatusOK, "alice")
	first.terminate()
	first.ended()
	v.site = start(t, development, withSecret).url
	v.want("GET /api/me", http.StatusUnauthorized, "")
}
