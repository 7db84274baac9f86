// Package peers runs the tests of other libraries of sessions over this one:
// those of scs, gorilla/sessions and of what is built on them. Nothing of them
// is changed but the constructor of a store.
package peers
