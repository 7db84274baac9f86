// Package load is the load generator: clients with one keep-alive connection
// each. They write prepared requests and parse only the parts of a response
// that they compare. They share the cores with the servers under test, so they
// must use little; net/http's client would use more than net/http's server.
package load
