// Package site holds what is compared over HTTP: one small site, made with each
// library. All behave the same, and their files are alike.
//
//	POST /login?user=NAME  logs a user in and stores a payload
//	GET  /                 returns the user's name, from the session
//
// Each site runs in a process of its own ([Start]), which is this program again
// ([Serve]). So its garbage collector and scheduler are independent of the load
// generator and of other sites.
package site
