package main

import (
	"strconv"
	"time"
)

// words returns a duration in its largest unit that is not too coarse: 47
// hours, but 2 days.
func words(d time.Duration) string {
	const day = 24 * time.Hour
	units := []struct {
		length time.Duration
		name   string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}}
	for _, unit := range units {
		// Rounded, because a deadline is a little before or after the
		// configured one.
		if n := int64(d.Round(unit.length) / unit.length); n > 1 ||
			(n == 1 && d >= unit.length-unit.length/60) {
			if n == 1 {
				return "1 " + unit.name
			}
			return strconv.FormatInt(n, 10) + " " + unit.name + "s"
		}
	}
	return "less than a minute"
}
