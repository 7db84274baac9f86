package servers

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/reporadar/pgsession/integration/internal/process"
)

// serverAccount returns the account that servers run as, or nil for this
// program's own. Postgres refuses to run as root, so root gets another.
func serverAccount() (*process.Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &process.Account{UID: uint32(uid), GID: uint32(gid)}, nil
		}
	}
	return nil,
		absent("root can't run a server, and there is neither a user postgres nor a user nobody")
}

const folderPrefix = "pgsession-"

// newFolder makes a temporary folder that only the account can enter. remove
// removes it. Data that may be lost goes into memory where there is enough,
// unless TMPDIR names a place.
func newFolder(account *process.Account, lossy bool) (dir string, remove func() error, err error) {
	parents := []string{os.TempDir()}
	if account != nil {
		parents = append(parents, "/tmp", "/var/tmp") // root's own may be closed to others
	}
	if lossy && os.Getenv("TMPDIR") == "" {
		if memory := inMemory(); memory != "" {
			parents = append([]string{memory}, parents...)
		}
	}
	for _, parent := range parents {
		if account != nil && !open(parent) {
			continue
		}
		dir, err := os.MkdirTemp(parent, folderPrefix)
		if err != nil {
			return "", nil, err
		}
		release, err := keep(dir)
		if err == nil {
			err = give(account, dir)
		}
		if err != nil {
			return "", nil, errors.Join(err, os.RemoveAll(dir))
		}
		return dir, func() error { return errors.Join(os.RemoveAll(dir), release()) }, nil
	}
	return "", nil, errors.New("there is no temporary folder that another user can enter")
}

// open reports whether every user can reach the files of a folder.
func open(folder string) bool {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(folder)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return true
		}
		folder = parent
	}
}

// writeFor writes a file that only the account can read.
func writeFor(account *process.Account, path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return give(account, path)
}

func give(account *process.Account, path string) error {
	if account == nil {
		return nil
	}
	return os.Chown(path, int(account.UID), int(account.GID))
}
