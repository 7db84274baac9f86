package db

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Direction is the way of [Print].
type Direction int

const (
	// Forward is from an older version to a newer one.
	Forward Direction = iota
	// Backward undoes that.
	Backward
)

// printed is what stands before the migrations of one text.
const printed = `-- Migrations of github.com/reporadar/pgsession for the schema %s, %s.
-- Run them in one transaction, such as with psql -1 -v ON_ERROR_STOP=1 -f, or by
-- a tool that makes one for each file. The list of migrations that migrate up
-- keeps is not made: let one tool migrate a schema, and no other.
`

// Print returns the SQL of the migrations after a version, for review or for
// another tool that runs migrations. Forward has them in order, and Backward
// undoes the same ones, the newest first. Print needs no database.
//
// It returns an error for an invalid schema name and for a version that this
// library does not have.
func Print(d Direction, after int64, opts Options) (string, error) {
	m, err := newMigration(nil, opts, "print")
	if err != nil {
		return "", err
	}
	states, err := m.pending()
	if err != nil {
		return "", err
	}
	newest := states[len(states)-1].Version
	if after < 0 || after > newest {
		return "", fmt.Errorf("migrate print: no version %d: use 0 to %d", after, newest)
	}
	way := fmt.Sprintf("from version %d to %d", after, newest)
	if d == Backward {
		way = fmt.Sprintf("from version %d back to %d", newest, after)
		slices.Reverse(states)
	}
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, printed, m.schema, way)
	for _, s := range states {
		if s.Version <= after {
			continue
		}
		file, err := fs.ReadFile(m.files, s.Name)
		if err != nil {
			return "", fmt.Errorf("migrate print: %w", err)
		}
		_, _ = fmt.Fprintf(&text, "\n-- %s\n\n%s\n", s.Name, half(string(file), d))
	}
	return text.String(), nil
}

// half returns one direction of a file of goose, without what only goose reads.
func half(file string, d Direction) string {
	head, rest, _ := strings.Cut(file, "-- +goose Up\n")
	up, down, _ := strings.Cut(rest, "-- +goose Down\n")
	text := head + up
	if d == Backward {
		text = down
	}
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "-- +goose ")
	})
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
