package servers_test

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/servers"
)

func TestUnpack(t *testing.T) {
	const links = `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`
	folder := t.TempDir()
	err := servers.Unpack(archive(t, map[string]string{
		"package/native/pg-symlinks.json":  links,
		"package/native/lib/libpq.so.5.18": "library",
	}), folder)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(folder, "package/native/lib/libpq.so.5"))
	if err != nil || string(content) != "library" {
		t.Errorf("through the link: %q, %v", content, err)
	}
	info, err := os.Stat(filepath.Join(folder, "package/native"))
	if err != nil || info.Mode().Perm()&0o055 != 0o055 {
		t.Errorf("other users can't enter: %v, %v", info.Mode(), err)
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a file above the folder": {"../escaped": "file"},
		"a link above the folder": {
			"package/native/pg-symlinks.json": `[{"source":"x","target":"../../escaped"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			folder := filepath.Join(parent, "folder")
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := servers.Unpack(archive(t, files), folder); err == nil {
				t.Error("no error")
			}
			if _, err := os.Lstat(filepath.Join(parent, "escaped")); err == nil {
				t.Error("it escaped")
			}
		})
	}
}

func TestCheckRefusesAnotherPackage(t *testing.T) {
	err := servers.Check(archive(t, nil),
		"hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==")
	if err == nil || !strings.Contains(err.Error(), "SHA-512") {
		t.Errorf("the error is %v", err)
	}
}

// archive packs files the way npm does.
func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "package.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(file)
	packed := tar.NewWriter(zipped)
	for name, content := range files {
		err := packed.WriteHeader(&tar.Header{
			Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, closer := range []interface{ Close() error }{packed, zipped, file} {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return file.Name()
}
