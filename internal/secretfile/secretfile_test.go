package secretfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/secretfile"
)

func TestValue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const both, unread = "A, A_FILE: both are set", "A_FILE: the file that it names "
	longest := strings.Repeat("s", 64<<10)
	for name, tt := range map[string]struct {
		value, path   string
		want, problem string
	}{
		"neither":        {},
		"a value":        {value: " sesame\n", want: " sesame\n"},
		"a file":         {path: write("plain", "sesame"), want: "sesame"},
		"a line":         {path: write("line", "sesame\n"), want: "sesame"},
		"many lines":     {path: write("lines", "sesame\n\n\n"), want: "sesame"},
		"of Windows":     {path: write("windows", "sesame\r\n"), want: "sesame"},
		"spaces":         {path: write("spaces", " se same \n"), want: " se same "},
		"the longest":    {path: write("longest", longest), want: longest},
		"both":           {value: "sesame", path: write("both", "sesame"), problem: both},
		"both, no file":  {value: "sesame", path: dir + "/none", problem: both},
		"no file":        {path: dir + "/sesame", problem: unread + "can't be read: no such file"},
		"the secret":     {path: "postgres://me:sesame@host/", problem: unread + "can't be read"},
		"a folder":       {path: dir, problem: unread + "can't be read: is a directory"},
		"an empty file":  {path: write("empty", ""), problem: unread + "is empty"},
		"an empty line":  {path: write("newline", "\n"), problem: unread + "is empty"},
		"a file too big": {path: write("big", longest+"s"), problem: unread + "is longer than 64"},
		"without an end": {path: "/dev/zero", problem: unread + "is longer than 64 KiB"},
	} {
		env := map[string]string{"A": tt.value, "A_FILE": tt.path}
		got, err := secretfile.Value("A", "A_FILE", func(name string) string { return env[name] })
		if got != tt.want {
			t.Errorf("%s: %.20q, want %.20q", name, got, tt.want)
		}
		if tt.problem == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var fault *secretfile.Error
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), tt.problem) ||
			strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q", name, err, tt.problem)
		}
	}
}
