package db

import (
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/schema"
)

// forCall is the migrations for the schema and the lock timeout of one call.
type forCall struct {
	fs.FS
	schema      string
	lockTimeout time.Duration // 0 for that in the files
}

// lockTimeoutInFiles begins each direction of a migration.
const lockTimeoutInFiles = "SET LOCAL lock_timeout = '3s';"

// Open opens a file. A migration names the other schema, and sets the lock
// timeout; its Stat is the original's.
func (r forCall) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	sql := schema.Rename(string(text), r.schema)
	if r.lockTimeout > 0 {
		sql = strings.ReplaceAll(sql, lockTimeoutInFiles, setLockTimeout(r.lockTimeout)+";")
	}
	return &rewrittenFile{f, strings.NewReader(sql)}, nil
}

type rewrittenFile struct {
	fs.File
	text *strings.Reader
}

func (f *rewrittenFile) Read(p []byte) (int, error) { return f.text.Read(p) }
