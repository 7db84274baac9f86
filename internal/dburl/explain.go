package dburl

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// dialed is the address in an error of net, after that of pgx.
var dialed = regexp.MustCompile(`\bdial (?:tcp|unix)\S* \S+: `)

// Explain returns the text of an error. That of a failed connection names each
// server once, in one line: pgx has a line for each try, with the address
// twice, and tries a server twice where sslmode leaves TLS to it.
func Explain(err error) string {
	text := err.Error()
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return text
	}
	var tries []string
	first, rest, _ := strings.Cut(connect.Error(), "\n")
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); !slices.Contains(tries, line) {
			tries = append(tries, line)
		}
	}
	short := strings.TrimSpace(first + " " + strings.Join(tries, "; "))
	return strings.Replace(text, connect.Error(), dialed.ReplaceAllString(short, ""), 1)
}
