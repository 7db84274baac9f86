package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

type item struct {
	SKU   string `json:"sku"`
	Count int    `json:"count"`
}

var cart = sessionstore.NewKey[[]item]("cart")

// A Key gives a value its name and its type.
func ExampleKey() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	add := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		items, err := cart.Get(s)
		if err != nil {
			// The stored cart has the type of another release. It starts empty,
			// and the other values stay.
			log.Print(err)
		}
		items = append(items, item{SKU: r.FormValue("sku"), Count: 1})
		if err := cart.Set(s, items); err != nil {
			http.Error(w, "the cart is full", http.StatusBadRequest)
			return
		}
		fmt.Println(items)
	})
	server := httptest.NewServer(sessions.Handler(add))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	for _, sku := range []string{"tea", "pot"} {
		resp, err := browser.Post(server.URL+"?sku="+sku, "", nil)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
	}
	// Output:
	// [{tea 1}]
	// [{tea 1} {pot 1}]
}
