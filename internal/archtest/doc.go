// Package archtest holds the house rules of this repository as data, and tests that they hold: who may import whom,
// how long a file may be, that the documents name what exists. A rule that names something that is gone fails too.
//
// It is a statement of policy. Don't change the data to fix a build.
package archtest
