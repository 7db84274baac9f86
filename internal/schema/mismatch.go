package schema

import (
	"fmt"
	"strings"
)

// Mismatch is the error of a schema that this version of the library can't use.
type Mismatch struct {
	// Schema is the name of the schema.
	Schema string
	// Differences describes in words what is missing or different, one thing
	// each.
	Differences []string
}

// Error names every difference, and the command that makes what is missing.
func (m *Mismatch) Error() string {
	command := "go run " + module + "/cmd/migrate@" + release() + " "
	if m.Schema != Default {
		command += "-schema " + m.Schema + " "
	}
	return fmt.Sprintf("schema %s does not fit this version of pgsession: %s:"+
		" run `migrate up` (%sup); if that changes nothing, the schema was changed by hand:"+
		" undo what is named here",
		m.Schema, strings.Join(m.Differences, "; "), command)
}
