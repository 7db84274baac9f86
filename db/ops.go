package db

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/reporadar/pgsession/internal/schema"
)

// Ops returns a file of db/ops: SQL that an administrator runs, for roles,
// pg_cron, alarms and Citus. name is that of the file without ".sql".
//
// For another schema than the default, its roles, jobs and version table are
// named after it, so installations in one database share nothing. Ops needs no
// database.
//
// It returns an error for an invalid schema name and for an unknown file,
// naming the known ones.
func Ops(name string, opts Options) (string, error) {
	schemaName := cmp.Or(opts.Schema, schema.Default)
	if err := schema.CheckName(schemaName); err != nil {
		return "", fmt.Errorf("migrate ops: %w", err)
	}
	files, err := fs.Glob(embedded, "ops/*.sql")
	if err != nil {
		return "", fmt.Errorf("migrate ops: %w", err)
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(path.Base(file), ".sql")
		if names[i] != name {
			continue
		}
		text, err := fs.ReadFile(embedded, file)
		if err != nil {
			return "", fmt.Errorf("migrate ops: %w", err)
		}
		return rehashed(schema.RenameAll(string(text), schemaName), schemaName)
	}
	return "", fmt.Errorf("migrate ops: no file %q: use one of %s", name, strings.Join(names, ", "))
}

// rehashed replaces the hashes of the functions' bodies in the default schema
// by those in this one. The bodies name the schema.
func rehashed(text, schemaName string) (string, error) {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return "", err
	}
	here, err := (&migration{files: files}).bodies()
	if err != nil {
		return "", err
	}
	var pairs []string
	for _, body := range here {
		other := schema.Rename(body, schemaName)
		pairs = append(pairs, fmt.Sprintf("%x", sha256.Sum256([]byte(body))),
			fmt.Sprintf("%x", sha256.Sum256([]byte(other))))
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}
