package main

import "github.com/reporadar/pgsession/sessionstore"

// deviceKind returns the name of a device's icon: "phone" or "computer".
func deviceKind(d sessionstore.Device) string {
	if d.Kind == sessionstore.Phone || d.Kind == sessionstore.Tablet {
		return "phone"
	}
	return "computer"
}
