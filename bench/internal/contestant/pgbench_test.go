package contestant

import "testing"

func TestParsePgbench(t *testing.T) {
	rate, err := parsePgbench("number of failed transactions: 0 (0.000%)\nlatency average = 0.1 ms\ntps = 30214.331245 (without initial connection time)\n")
	if err != nil || rate != 30214.331245 {
		t.Errorf("%v, %v", rate, err)
	}
	for name, printed := range map[string]string{
		"no rate":                 "pgbench (15.20)\n",
		"a client that was ended": "pgbench: error: client 3 aborted in command 1\ntps = 3.0 (without initial connection time)\n",
	} {
		if _, err := parsePgbench(printed); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}
