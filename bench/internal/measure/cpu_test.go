package measure

import (
	"os"
	"testing"
	"time"
)

func TestCPUGrowsWithWork(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("this system has no schedstat")
	}
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const work = 20 * time.Millisecond
	for used := before; used-before < work; {
		if used, err = CPU(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if used < before {
			t.Fatalf("%s after %s", used, before)
		}
	}
	both, err := CPU(os.Getpid(), os.Getpid())
	if err != nil || both < 2*(before+work) {
		t.Errorf("two processes used %s, one of them at least %s: %v", both, before+work, err)
	}
	if _, err := CPU(-1); err == nil {
		t.Error("a process that is not there has a time")
	}
}
