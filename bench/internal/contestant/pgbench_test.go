package contestant

import (
	"errors"
	"testing"
)

func TestParsePgbench(t *testing.T) {
	rate, err := parsePgbench(
		"number of failed transactions: 0 (0.000%)\nlatency average = 0.1 ms\ntps = 30214.331245 " +
			"(without initial connection time)\n")
	if err != nil || rate != 30214.331245 {
		t.Errorf("%v, %v", rate, err)
	}
	for name, printed := range map[string]string{
		"no rate": "pgbench (15.20)\n",
		"a client that was ended": "pgbench: error: client 3 aborted in command 1\ntps = 3.0 " +
			"(without initial connection time)\n",
	} {
		if _, err := parsePgbench(printed); err == nil {
			t.Errorf("%s passed", name)
		}
	}
	const none = "number of transactions actually processed: 0\n"
	if _, err := parsePgbench(none); !errors.Is(err, errNoTransaction) {
		t.Errorf("no transaction: %v", err)
	}
	if _, err := parsePgbench("pgbench: error: client 3 aborted\n" + none); err == nil ||
		errors.Is(err, errNoTransaction) {
		t.Errorf("no transaction for an error: %v", err)
	}
}
