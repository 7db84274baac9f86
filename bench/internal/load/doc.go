// Package load is the load generator: clients with one keep-alive connection each, which write requests that were made
// beforehand and look only at the parts of a response that they compare. It shares the machine's cores with the servers
// under test, so what it spends is taken from them; net/http's client would spend more than net/http's server.
package load
