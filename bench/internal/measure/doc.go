// Package measure counts how often operations succeed in a given time. It does
// not know what they do.
//
// Machines change their speed: they throttle, and other programs use them. So
// contestants are measured in turns ([Alternate]), and the medians over the
// rounds of one run are compared.
package measure
