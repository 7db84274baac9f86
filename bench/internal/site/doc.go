// Package site holds what is compared over HTTP: one small site, made with each library. All of them look the same from
// outside; the files mirror each other.
//
//	POST /login?user=NAME  logs a user in and stores a payload in the session
//	GET  /                 answers with the user's name, from the session
//
// Each site runs in a process of its own ([Start]), which is this program once more ([Serve]), so that its garbage
// collector and scheduler have nothing to do with those of the load generator or of another site.
package site
