package output

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// full is a disk with room for some writes.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if f.room--; f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestTheFirstErrorStays(t *testing.T) {
	disk := &full{room: 1}
	o := To(disk)
	for range 2 {
		_, _ = fmt.Fprintln(o, "a line")
	}
	disk.room = 1 // what comes after a gap is no output
	if _, err := io.WriteString(o, "more"); !errors.Is(err, errFull) || disk.room != 1 {
		t.Errorf("a write after the error: %v", err)
	}
	if !errors.Is(o.Err(), errFull) {
		t.Errorf("the error of the output: %v", o.Err())
	}
	if err := To(io.Discard).Err(); err != nil {
		t.Errorf("without a write: %v", err)
	}
}
