package operator

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var writeCommand = flag.Bool("write-command", false,
	"write docs/reference/pgsession.md instead of comparing with it")

// The page of the reference has the text that the command prints.
func TestTheCommandPage(t *testing.T) {
	text := "# The command pgsession\n\n" +
		"[Migrations](../operations/migrations.md#the-commands) has how to get it, " +
		"[find and end sessions](../operations/operator.md) what to run when.\n\n"
	for _, line := range strings.Split(strings.TrimSpace(usage), "\n") {
		text += strings.TrimRight("    "+line, " ") + "\n"
	}
	const page = "../../docs/reference/pgsession.md"
	if *writeCommand {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := os.ReadFile(page); err != nil || string(was) != text {
		t.Errorf("%s is not of the command: make it again with -write-command (%v)", page, err)
	}
}
