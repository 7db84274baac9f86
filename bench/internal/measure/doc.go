// Package measure counts how often operations succeed in a given time. It knows nothing of what they do.
//
// Machines drift: they throttle, and others use them. So contestants are never measured one after the other for long,
// but in turns ([Alternate]), and what is compared are medians over the rounds of one run.
package measure
