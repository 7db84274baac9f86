package db

import (
	"io"
	"io/fs"
	"strings"

	"github.com/reporadar/pgsession/internal/schema"
)

// renamed is the migrations for another schema.
type renamed struct {
	fs.FS
	schema string
}

// Open opens a file. A migration names the other schema; its Stat is the
// original's.
func (r renamed) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &renamedFile{f, strings.NewReader(schema.Rename(string(text), r.schema))}, nil
}

type renamedFile struct {
	fs.File
	text *strings.Reader
}

func (f *renamedFile) Read(p []byte) (int, error) { return f.text.Read(p) }
