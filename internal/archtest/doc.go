// Package archtest tests the rules of this repository: which package imports
// which, how long files and lines may be, and that documents name what exists.
// The rules are data. One that is about something that no longer exists fails
// too.
//
// The rules are policy. Don't change one to fix a build.
package archtest
