package main

import (
	"net/http"
	"slices"

	"github.com/reporadar/pgsession/sessionstore"
)

// products are the products of the shop.
var products = []string{"Coffee", "Bread", "Pears"}

// maxQuantity is the most of one product in a cart.
const maxQuantity = 99

// cart holds the quantity of each product.
var cart = sessionstore.NewKey[map[string]int]("cart")

// cartLine is one product on the page.
type cartLine struct {
	Product  string
	Quantity int
	Full     bool
}

// changeCart adds or removes one of a product. It ignores unknown products.
func changeCart(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	quantities, _ := cart.Get(s) // an invalid value counts as an empty cart
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

// keepCart deletes an empty cart, so that a visitor who never had one has
// nothing to save.
func keepCart(s *sessionstore.Session, quantities map[string]int) error {
	if len(quantities) == 0 {
		return cart.Delete(s)
	}
	return cart.Set(s, quantities)
}

// cartOf returns the cart of a session in the order of the products, and the
// sum of their quantities.
func cartOf(s *sessionstore.Session) (lines []cartLine, total int) {
	quantities, _ := cart.Get(s)
	for _, product := range products {
		n := quantities[product]
		lines = append(lines, cartLine{Product: product, Quantity: n, Full: n >= maxQuantity})
		total += n
	}
	return lines, total
}
