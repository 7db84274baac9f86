package main

import (
	"net/http"
	"slices"

	"github.com/reporadar/pgsession/sessionstore"
)

// products are all there is to be had.
var products = []string{"Coffee", "Bread", "Pears"}

// maxQuantity is as much of one product as a cart takes.
const maxQuantity = 99

// cart is how many of each product somebody wants.
var cart = sessionstore.NewKey[map[string]int]("cart")

// cartLine is one product on the page.
type cartLine struct {
	Product  string
	Quantity int
	Full     bool
}

// changeCart adds one of a product or takes one out. Product names that nobody offers change nothing.
func changeCart(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	quantities, _ := cart.Get(s) // what is no cart counts as an empty one
	if quantities == nil {
		quantities = map[string]int{}
	}
	if add := r.FormValue("add"); slices.Contains(products, add) {
		quantities[add] = min(quantities[add]+1, maxQuantity)
	}
	if remove := r.FormValue("remove"); quantities[remove] > 1 {
		quantities[remove]--
	} else {
		delete(quantities, remove)
	}
	if err := keepCart(s, quantities); err != nil {
		serveError(w, r, err)
		return
	}
	http.Redirect(w, r, "/#cart", http.StatusSeeOther)
}

// keepCart keeps no empty cart, so that there is nothing to save for a visitor who has never had one.
func keepCart(s *sessionstore.Session, quantities map[string]int) error {
	if len(quantities) == 0 {
		return cart.Delete(s)
	}
	return cart.Set(s, quantities)
}

// cartOf is the cart of a session, in the order of the products, and how many things are in it.
func cartOf(s *sessionstore.Session) (lines []cartLine, total int) {
	quantities, _ := cart.Get(s)
	for _, product := range products {
		n := quantities[product]
		lines = append(lines, cartLine{Product: product, Quantity: n, Full: n >= maxQuantity})
		total += n
	}
	return lines, total
}
