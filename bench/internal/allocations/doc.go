// Package allocations counts what one request with a loaded session allocates in the middleware and the session code,
// and where. The store is the one in memory, so that no driver's allocations are among them.
package allocations
