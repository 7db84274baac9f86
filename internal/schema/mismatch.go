package schema

import (
	"fmt"
	"strings"
)

// Mismatch says that a schema is not what this version of the library needs.
type Mismatch struct {
	// Schema is the name of the schema that was looked at.
	Schema string
	// Differences names what is missing or other than it must be, one thing each, in plain words.
	Differences []string
}

// Error names every difference and the command that repairs them.
func (m *Mismatch) Error() string {
	command := "go run github.com/reporadar/pgsession/cmd/migrate@latest "
	if m.Schema != Default {
		command += "-schema " + m.Schema + " "
	}
	return fmt.Sprintf("schema %s is not what this version of pgsession needs: %s. To repair it run `migrate up` (%s)."+
		" If that has nothing to do, the schema was changed by hand: restore what is named here",
		m.Schema, strings.Join(m.Differences, "; "), command+"up")
}
