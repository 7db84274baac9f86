// Package process starts programs that do not outlive the one that started
// them.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a started program. Its methods may be called from any goroutine.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; readable once done is closed
}

// Kin ties a program to this one. The zero value ties nothing: same account,
// same process group, free to live on.
type Kin struct {
	// Orphaned is the signal that the program gets when this one dies without
	// having stopped it, as by SIGKILL. Linux only; 0 for none.
	Orphaned syscall.Signal

	// Apart gives the program a process group of its own, so that a Ctrl-C
	// in the terminal does not reach it. Unix only.
	Apart bool

	// Account is the account that the program runs as; nil for this program's
	// own.
	Account *Account
}

// Account is a user of the operating system.
type Account struct {
	UID, GID uint32
}

// Start starts cmd with these ties.
func Start(cmd *exec.Cmd, kin Kin) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	kin.separate(cmd.SysProcAttr)
	kin.guard(cmd.SysProcAttr)

	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// On Linux the parent that Orphaned refers to is the thread that
		// started the program, not the whole process. This keeps the thread for
		// as long as the program runs. Otherwise the Go runtime may end it at
		// any time, and the program with it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()

		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Run starts cmd, waits for it and puts the end of its output into the error.
// It kills the program when ctx ends.
func Run(ctx context.Context, cmd *exec.Cmd, kin Kin) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = 5 * time.Second // for grandchildren that keep the pipe open

	p, err := Start(cmd, kin)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.Signal(syscall.SIGKILL)
		<-p.done
		return context.Cause(ctx)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], p.err, LastLines(output.String()))
	}
	return nil
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ID is the program's process id.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Status waits for the end of the program and returns its exit status as a
// shell does: 128+n if signal n ended it.
func (p *Process) Status() int {
	<-p.done
	if state, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return 128 + int(state.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends sig. It returns no error if the program has ended already.
func (p *Process) Signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, syscall.ESRCH) || p.ended() {
		return nil
	}
	return err
}

// Stop sends one signal after the other, and SIGKILL last, until the program
// has ended. It waits for patience after each.
func (p *Process) Stop(patience time.Duration, signals ...syscall.Signal) error {
	for _, sig := range append(signals, syscall.SIGKILL) {
		if err := p.Signal(sig); err != nil {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(patience):
		}
	}
	return fmt.Errorf("process %d survived SIGKILL", p.ID())
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// LastLines returns the end of a program's output in one line, for an error.
func LastLines(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	lines = lines[max(0, len(lines)-5):]
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, " | ")
}
