package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/reporadar/pgsession/integration/internal/process"
)

// aptPostgres installs the distribution's Postgres and runs it on a throwaway
// cluster. It neither uses nor starts the distribution's own cluster.
func aptPostgres(ctx context.Context, o Options) (*Server, error) {
	name := "postgresql"
	if o.PostgresVersion != "" {
		name += "-" + o.PostgresVersion
	}
	if err := install(ctx, o, name, "postgresql"); err != nil {
		return nil, err
	}
	return localPostgres(ctx, o)
}

// aptRedis installs the distribution's Redis.
func aptRedis(ctx context.Context, o Options) (*Server, error) {
	if err := install(ctx, o, "redis-server", "redis-server"); err != nil {
		return nil, err
	}
	return localRedis(ctx, o)
}

// install installs a package and keeps its service from running, now and after
// the next start of the machine, unless the service was there before.
func install(ctx context.Context, o Options, name, service string) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return absent("this is not Debian or Ubuntu, whose packages could be installed")
	}
	if os.Geteuid() != 0 {
		return absent("only root can install the package " + name)
	}
	before := hasService(service)
	allow, err := forbidStarts()
	if err != nil {
		return err
	}
	o.log("installing %s with apt-get", name)
	err = runApt(ctx, apt, "install", "-y", "--no-install-recommends", "--no-upgrade", name)
	if err != nil {
		// Fresh images have no lists, and old lists name packages that no
		// mirror has any more.
		err = errors.Join(runApt(ctx, apt, "update"),
			runApt(ctx, apt, "install", "-y", "--no-install-recommends", "--no-upgrade", name))
	}
	err = errors.Join(err, allow())
	if err != nil {
		return fmt.Errorf("apt-get can't install %s: %w", name, err)
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil && !before {
		return process.Run(ctx, exec.Command("systemctl", "disable", "--now", service),
			process.Kin{})
	}
	return nil
}

// runApt ends neither with ctx nor by a Ctrl-C: half an installation is worse
// than a late end.
func runApt(ctx context.Context, apt string, arguments ...string) error {
	cmd := exec.Command(apt,
		append([]string{"-q", "-o", "DPkg::Lock::Timeout=120"}, arguments...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	return process.Run(context.WithoutCancel(ctx), cmd, process.Kin{Apart: true})
}

func hasService(name string) bool {
	found, _ := filepath.Glob("/lib/systemd/system/" + name + ".service") // the names are constants
	return len(found) > 0
}

// policy is the program that Debian's packages ask before they start a service.
const policy = "/usr/sbin/policy-rc.d"

// forbidStarts keeps packages from starting services until allow is called. It
// leaves an existing policy as it is.
func forbidStarts() (allow func() error, err error) {
	// It allows everything again as soon as this program has ended, in whatever
	// way.
	script := fmt.Sprintf("#!/bin/sh\nkill -0 %d 2>/dev/null && exit 101\nexit 0\n", os.Getpid())
	file, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(script)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(policy))
	}
	return func() error { return os.Remove(policy) }, nil
}
