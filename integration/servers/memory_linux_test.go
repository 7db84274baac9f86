package servers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// sweep removes the folder of a killed process, and keeps that of a living one.
func TestSweep(t *testing.T) {
	if inMemory() == "" {
		t.Skip("this machine has too little memory to spare")
	}
	folder := func(age time.Duration) string {
		dir, err := os.MkdirTemp(memoryFolder, folderPrefix)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.WriteFile(filepath.Join(dir, "data"), []byte("data"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	young, left, kept := folder(0), folder(time.Hour), folder(time.Hour)
	release, err := keep(kept)
	if err != nil {
		t.Fatal(err)
	}
	sweep()
	for dir, want := range map[string]bool{young: true, left: false, kept: true} {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) == want {
			t.Errorf("%s: it is there: %v, want %v", dir, !want, want)
		}
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	sweep()
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a folder that was released stays")
	}
}
