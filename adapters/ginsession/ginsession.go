// Package ginsession gives gin's handlers their sessions:
//
//	router := gin.New()
//	router.Use(gin.Recovery(), ginsession.New(sessions))
//	router.POST("/cart", ginsession.Handler(addToCart))
//
// A gin handler writes to gin's own ResponseWriter, so [Manager.Handler] inside
// a middleware would never see its first byte, and no cookie would be sent. New
// puts a ResponseWriter between them that commits the session first.
//
// To wrap the whole router works too, and needs no package:
// http.ListenAndServe(addr, sessions.Handler(router)).
//
// [Manager.Handler]: https://pkg.go.dev/github.com/reporadar/pgsession/sessionstore#Manager.Handler
package ginsession

import (
	"bufio"
	"context"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/reporadar/pgsession/sessionstore"
)

// New returns a middleware that does in gin what
// [sessionstore.Manager.Handler] does in net/http, and panics as that does if
// m is nil. Handlers get their session with [Handler], or with
// [sessionstore.FromContext] of c.Request.Context().
//
// Use it behind gin.Recovery and gin.Logger, and before what uses the session.
// A middleware before it that answers after c.Next, such as one for c.Errors,
// answers after the session is saved.
func New(m *sessionstore.Manager) gin.HandlerFunc {
	_ = m.Handler(http.NotFoundHandler()) // panics now, and not in each request
	return func(c *gin.Context) {
		request, outer := c.Request, c.Writer
		defer func() { c.Request, c.Writer = request, outer }()
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.Request, c.Writer = r, &writer{ResponseWriter: outer, session: w}
			c.Next()
			if !outer.Written() { // c.Status alone: it decides whether the session is saved
				w.WriteHeader(outer.Status())
			}
		})).ServeHTTP(outer, request)
	}
}

// Handler returns a gin handler that gets its session, and may return an error
// in place of answering it: see [sessionstore.HandlerFunc]. After an error the
// handlers behind it do not run.
//
// An error after the first byte is logged, and the response ends there without
// being aborted: gin.Recovery would log the request with its cookies. Such are
// the errors of c.Bind and c.AbortWithError, which have answered by themselves,
// and what was changed before is saved: use c.ShouldBind. The error is not in
// c.Errors.
func Handler(f func(c *gin.Context, s *sessionstore.Session) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		h := sessionstore.HandlerFunc(
			func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
				err := f(c, s)
				if err != nil {
					c.Abort()
				}
				return err
			})
		// HandlerFunc aborts the responses of servers only.
		ctx := context.WithValue(c.Request.Context(), http.ServerContextKey, nil)
		h.ServeHTTP(c.Writer, c.Request.WithContext(ctx))
	}
}

// writer is gin's ResponseWriter that commits the session before the first
// byte. As gin's own it sends a status with the first byte only.
type writer struct {
	gin.ResponseWriter
	session http.ResponseWriter // that of Manager.Handler, around the one above
}

// WriteHeaderNow commits the session, and sends the header.
func (w *writer) WriteHeaderNow() {
	if !w.Written() {
		w.session.WriteHeader(w.Status())
		w.ResponseWriter.WriteHeaderNow()
	}
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeaderNow()
	return w.session.Write(p)
}

// WriteString is Write of a string.
func (w *writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush sends the header and what was written.
func (w *writer) Flush() {
	w.WriteHeaderNow()
	w.ResponseWriter.Flush()
}

// Hijack commits the session, whose cookie is in the header map then.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.session).Hijack()
}

// Unwrap serves [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.session }
