package servers

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The folders of server programs in the packages of Debian, Red Hat, Homebrew
// (both kinds of Mac) and Postgres.app. As a rule PATH has none of them.
var postgresFolders = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

var redisFolders = []string{"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"}

// installation is a folder with the programs of one Postgres.
type installation struct {
	bin   string
	name  string // for messages
	major int
}

// localPostgres runs the server programs of this machine.
func localPostgres(ctx context.Context, o Options) (*Server, error) {
	found := o.installations(ctx)
	if o.PostgresVersion != "" {
		found = slices.DeleteFunc(found, func(i installation) bool {
			return strconv.Itoa(i.major) != o.PostgresVersion
		})
	}
	for _, wanted := range []struct {
		extension, name string
		so              bool
	}{{"citus", "Citus", o.citus != ""}, {"pg_cron", "pg_cron", o.cron}} {
		if !wanted.so {
			continue
		}
		found = slices.DeleteFunc(found, func(i installation) bool {
			return !i.hasExtension(ctx, wanted.extension)
		})
		if len(found) == 0 {
			return nil, absent("no Postgres on this machine has " + wanted.name)
		}
	}
	if len(found) == 0 {
		return nil,
			absent(strings.TrimSpace("there are no server programs on this machine of Postgres " +
				o.PostgresVersion))
	}
	return startCluster(ctx, o, found[0])
}

// installations returns what is installed: first the one in PATH, then the
// rest, the newest first.
func (o Options) installations(ctx context.Context) []installation {
	var found []installation
	if program, err := exec.LookPath("initdb"); err == nil {
		// Often PATH has a link to it, in a folder without the other Postgres
		// programs.
		if program, err := filepath.EvalSymlinks(program); err == nil {
			found = appendInstallation(ctx, found, filepath.Dir(program))
		}
	}
	inPath := len(found)
	if !o.bare {
		for _, pattern := range postgresFolders {
			folders, _ := filepath.Glob(pattern) // The patterns are constants.
			for _, folder := range folders {
				found = appendInstallation(ctx, found, folder)
			}
		}
	}
	slices.SortStableFunc(found[inPath:], func(a, b installation) int {
		return cmp.Compare(b.major, a.major)
	})
	return found
}

var versionNumber = regexp.MustCompile(`\) (\d+)`)

// appendInstallation skips folders without a server, such as those of Debian's
// client packages.
func appendInstallation(ctx context.Context, found []installation, bin string) []installation {
	if _, err := exec.LookPath(filepath.Join(bin, "postgres")); err != nil {
		return found
	}
	printed, err := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--version").Output()
	if err != nil {
		return found
	}
	match := versionNumber.FindSubmatch(printed)
	if match == nil {
		return found
	}
	major, _ := strconv.Atoi(string(match[1])) // digits
	return append(found, installation{bin: bin, name: filepath.Dir(bin), major: major})
}

// find returns the path of a program, or "".
func (o Options) find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if o.bare {
		return ""
	}
	for _, folder := range redisFolders {
		if path, err := exec.LookPath(filepath.Join(folder, program)); err == nil {
			return path
		}
	}
	return ""
}

func (i installation) program(name string) string { return filepath.Join(i.bin, name) }

func (i installation) String() string { return fmt.Sprintf("%s (Postgres %d)", i.name, i.major) }

// hasExtension reports whether an extension is installed beside these programs.
func (i installation) hasExtension(ctx context.Context, name string) bool {
	folder, err := exec.CommandContext(ctx, i.program("pg_config"), "--sharedir").Output()
	if err != nil {
		return false
	}
	found, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(folder)), "extension",
		name+".control"))
	return len(found) > 0
}
