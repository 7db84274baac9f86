package frameworks

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/reporadar/pgsession/sessionstore"
)

func echoPages(e *echo.Echo) {
	e.GET("/count", func(c echo.Context) error {
		n, err := count(c.Request().Context())
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, fmt.Sprint(n))
	})
	e.GET("/broken", func(c echo.Context) error {
		if _, err := count(c.Request().Context()); err != nil {
			return err
		}
		return errBroken
	})
	e.GET("/stream", func(c echo.Context) error {
		n, err := count(c.Request().Context())
		if err != nil {
			return err
		}
		c.Response().WriteHeader(http.StatusOK)
		c.Response().Flush()
		_, err = fmt.Fprint(c.Response(), n)
		return err
	})
	e.GET("/account", echo.WrapHandler(sessionstore.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			_, err := fmt.Fprintf(w, "account of %q", s.UserID())
			return err
		})))
}

// The whole of echo within Handler: its error handler answers inside.
func TestEchoWithinHandler(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(m *sessionstore.Manager) http.Handler {
		e := echo.New()
		e.Use(middleware.Recover(), middleware.Gzip())
		echoPages(e)
		return m.Handler(e)
	})
	s.counts(http.StatusInternalServerError)
	s.wants("/stream", http.StatusOK, "4")
	s.wants("/account", http.StatusOK, `account of ""`)
}

// As a middleware of echo it works too, but for errors: echo answers them
// behind it, when the session is saved.
func TestEchoMiddleware(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(m *sessionstore.Manager) http.Handler {
		e := echo.New()
		e.Use(echo.WrapMiddleware(m.Handler))
		echoPages(e)
		return e
	})
	s.wants("/count", http.StatusOK, "1")
	s.wants("/stream", http.StatusOK, "2")
	s.wants("/broken", http.StatusInternalServerError, "")
	s.wants("/count", http.StatusOK, "4") // 3 was saved with the error
}
