package site

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Command is the first argument that makes this program a site. The second is
// the site's name.
const Command = "site"

// Process is a site in a process of its own.
type Process struct {
	Name    string
	Address string

	cmd   *exec.Cmd
	input io.Closer
	dir   string
	once  sync.Once
	err   error
}

// Start starts this program again, as a site. Its log goes to a file, as in
// production.
func Start(ctx context.Context, name string, s Servers) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgsession-bench-")
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { _ = log.Close() }() // the process has its own handle

	p := &Process{Name: name, cmd: exec.CommandContext(ctx, program, Command, name), dir: dir}
	p.cmd.Env = append(os.Environ(), databaseVariable+"="+s.DatabaseURL,
		redisVariable+"="+s.RedisURL, prefixVariable+"="+s.RedisPrefix)
	p.cmd.Stderr = log
	p.cmd.WaitDelay = time.Second
	input, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.input = input
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("site %s did not start", name), p.Close())
	}
	p.Address = strings.TrimSpace(address)
	return p, nil
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Close ends the process and waits until it has written what it had collected.
// It may be called again.
func (p *Process) Close() error {
	p.once.Do(func() {
		_ = p.input.Close()
		err := p.cmd.Wait()
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			err = fmt.Errorf("site %s: %w: %s", p.Name, err, log[max(0, len(log)-2000):])
		}
		p.err = errors.Join(err, os.RemoveAll(p.dir))
	})
	return p.err
}
