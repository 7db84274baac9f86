package ginsession_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/reporadar/pgsession/adapters/ginsession"
	"github.com/reporadar/pgsession/sessionstore"
)

var cart = sessionstore.NewKey[string]("cart")

func newRouter(sessions *sessionstore.Manager) http.Handler {
	router := gin.New()
	router.Use(gin.Recovery(), ginsession.New(sessions))
	router.POST("/cart", ginsession.Handler(func(c *gin.Context, s *sessionstore.Session) error {
		return cart.Set(s, c.PostForm("item"))
	}))
	return router
}

// A gin application keeps a value in the session of its visitor.
func Example() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	form := strings.NewReader(url.Values{"item": {"tea"}}.Encode())
	r := httptest.NewRequest(http.MethodPost, "/cart", form)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	newRouter(sessions).ServeHTTP(w, r)
	fmt.Println(w.Code, len(w.Result().Cookies()), "cookie")
	// Output: 200 1 cookie
}
