// Package allocations counts the allocations of one request with a loaded
// session in the middleware and session code, and finds their places. The store
// is in memory, so that a driver's allocations don't count.
package allocations
