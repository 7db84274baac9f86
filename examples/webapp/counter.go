package main

import (
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

var counter = sessionstore.NewKey[int]("counter")

// changeCounter adds one or starts over. It needs no login.
func changeCounter(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	var err error
	if r.FormValue("do") == "reset" {
		err = counter.Delete(s)
	} else {
		n, _ := counter.Get(s) // an invalid value counts as 0
		err = counter.Set(s, n+1)
	}
	if err != nil {
		serveError(w, r, err)
		return
	}
	http.Redirect(w, r, "/#counter", http.StatusSeeOther)
}
