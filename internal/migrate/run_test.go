package migrate

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitStatusAndUsage(t *testing.T) {
	const nowhere = "postgres://me:sesame@127.0.0.1:1/shop" // nothing listens on port 1
	for name, c := range map[string]struct {
		args   []string
		env    string
		status int
		stdout string
		stderr string
	}{
		"help":                 {[]string{"-h"}, "", 0, "Usage: migrate", ""},
		"help, spelled out":    {[]string{"--help"}, "", 0, "Usage: migrate", ""},
		"help after a command": {[]string{"up", "-h"}, nowhere, 0, "Usage: migrate", ""},
		"no command":           {nil, nowhere, 2, "", "migrate: no command\n\nMakes"},
		"an unknown command": {
			[]string{"sideways"}, nowhere, 2, "", `unknown command "sideways"`,
		},
		"an unknown flag":          {[]string{"-x", "up"}, nowhere, 2, "", "not defined: -x"},
		"an unknown flag after it": {[]string{"up", "-x"}, nowhere, 2, "", "not defined: -x"},
		"a flag without its value": {
			[]string{"up", "-schema"}, nowhere, 2, "", "needs an argument: -schema",
		},
		"something after the command": {
			[]string{"up", "now"}, nowhere, 2, "", `unexpected "now"`,
		},
		"something after the flags": {
			[]string{"up", "-schema", "x", "now"}, nowhere, 2, "", `unexpected "now"`,
		},
		"no database": {
			[]string{"up"}, "", 2, "", "set DATABASE_URL or give -database-url",
		},
		"a database that is not there": {[]string{"up"}, nowhere, 1, "", "127.0.0.1:1"},
		"the same, by the flag": {
			[]string{"status", "-database-url", nowhere}, "", 1, "", "127.0.0.1:1",
		},
		"a URL that is none": {
			[]string{"up"}, "mysql://me:sesame@host/shop", 1, "", "write it like postgres://",
		},
		"a file": {
			[]string{"ops", "roles"}, "", 0, "GRANT USAGE ON SCHEMA pgsession TO pgsession_app", "",
		},
		"a file for another schema": {
			[]string{"-schema", "shop", "ops", "roles"},
			"", 0,
			"GRANT USAGE ON SCHEMA shop TO shop_app", "",
		},
		"the same, spelled another way": {
			[]string{"ops", "-schema", "shop", "pg_cron"}, "", 0, "cron.schedule('shop prune'", "",
		},
		"and another": {
			[]string{"ops", "pg_cron", "-schema", "shop"}, "", 0, "cron.schedule('shop prune'", "",
		},
		"a file for a hostile schema": {
			[]string{"ops", "roles", "-schema", "x;y"}, "", 1, "", `schema name "x;y"`,
		},
		"no file": {
			[]string{"ops"}, "", 2, "", "ops needs the name of a file",
		},
		"a file that is not there": {
			[]string{"ops", "../db"},
			"", 1, "",
			`no file "../db": use one of alarms, citus, pg_cron, pg_cron_elsewhere, ` +
				`pg_cron_unschedule, roles`,
		},
		"two files": {
			[]string{"ops", "roles", "pg_cron"}, "", 2, "", `unexpected "pg_cron"`,
		},
		"a schema name that may not be": {
			[]string{"up", "-schema", "a b"}, nowhere, 1, "", `schema name "a b"`,
		},
		"a migration": {
			[]string{"print", "up", "-schema", "shop"}, "", 0, "CREATE TABLE shop.sessions (", "",
		},
		"a migration back": {
			[]string{"print", "-from", "0", "down"}, "", 0, "DROP TABLE pgsession.sessions;", "",
		},
		"a migration sideways": {
			[]string{"print", "sideways"},
			"", 1, "",
			`unknown direction "sideways": use up or down`,
		},
		"a migration to nowhere": {[]string{"print"}, "", 2, "", "print needs a direction"},
		"a version to come": {
			[]string{"print", "up", "-from", "99"}, "", 1, "", "no version 99: use 0 to",
		},
		"a version that is none": {
			[]string{"print", "up", "-from", "x"}, "", 2, "", `invalid value "x" for flag -from`,
		},
		"a flag of another command": {
			[]string{"up", "-from", "1"}, nowhere, 2, "", "up has no flag -from",
		},
		"a wait for nothing": {
			[]string{"up", "-wait", "0s"}, nowhere, 2, "", "-wait must be a duration such as 60s",
		},
		"a wait without a database": {
			[]string{"print", "up", "-wait", "1s"}, "", 2, "", "print has no flag -wait",
		},
		"a yes to nothing":     {[]string{"up", "-yes"}, nowhere, 2, "", "up has no flag -yes"},
		"json of a migration":  {[]string{"up", "-json"}, nowhere, 2, "", "up has no flag -json"},
		"an import of nothing": {[]string{"import"}, nowhere, 2, "", "import needs the name"},
		"an import of the unknown": {
			[]string{"import", "rails"}, nowhere, 2, "", `import "rails" is unknown`,
		},
		"an import for too short": {
			[]string{"import", "express", "-idle", "7"},
			nowhere, 2, "",
			"-idle or SESSION_TIMEOUT: must",
		},
		"an import that ends too early": {
			[]string{"import", "express", "-idle", "2h", "-absolute", "1h"},
			nowhere, 2, "",
			"the absolute timeout is shorter",
		},
		"an import of a table with quotes": {
			[]string{"import", "express", "-table", `"x"`}, nowhere, 2, "", "without quotes",
		},
		"the application's schema": {
			[]string{"ops", "roles"},
			"SESSION_SCHEMA=shop", 0,
			"GRANT USAGE ON SCHEMA shop TO shop_app", "",
		},
		"another than its": {
			[]string{"ops", "roles", "-schema", "till"},
			"SESSION_SCHEMA=shop", 0,
			"GRANT USAGE ON SCHEMA till TO till_app", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			env := func(key string) string {
				if schema, ok := strings.CutPrefix(c.env, "SESSION_SCHEMA="); ok {
					return map[string]string{"SESSION_SCHEMA": schema}[key]
				}
				return map[string]string{"DATABASE_URL": c.env}[key]
			}
			status := Run(t.Context(), c.args, env, &stdout, &stderr)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			wantOutput(t, "stdout", stdout.String(), c.stdout)
			wantOutput(t, "stderr", stderr.String(), c.stderr)
			if strings.Contains(stdout.String()+stderr.String(), "sesame") {
				t.Error("the password is printed")
			}
		})
	}
}

// The URL may be in a file. A flag overrides both variables, and a command that
// prints reads neither.
func TestTheURLInAFile(t *testing.T) {
	const nowhere = "postgres://me:sesame@127.0.0.1:1/shop"
	good := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(good, []byte(nowhere+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]struct {
		args      []string
		url, file string
		status    int
		stderr    string
	}{
		"a file":      {[]string{"up"}, "", good, 1, "127.0.0.1:1"},
		"none":        {[]string{"up"}, "", missing, 1, "DATABASE_URL_FILE: the file that"},
		"both":        {[]string{"up"}, nowhere, good, 1, "DATABASE_URL, DATABASE_URL_FILE: both"},
		"the flag":    {[]string{"up", "-database-url", nowhere}, "x", missing, 1, "127.0.0.1:1"},
		"to print":    {[]string{"print", "up"}, "", missing, 0, ""},
		"no command":  {nil, "", missing, 2, "migrate: no command"},
		"wrong usage": {[]string{"up", "-x"}, "", missing, 2, "not defined: -x"},
	} {
		var stdout, stderr bytes.Buffer
		vars := map[string]string{"DATABASE_URL": c.url, "DATABASE_URL_FILE": c.file}
		status := Run(t.Context(), c.args, func(name string) string { return vars[name] },
			&stdout, &stderr)
		if status != c.status || !strings.Contains(stderr.String(), c.stderr) ||
			c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%s: status %d, want %d:\n%s", name, status, c.status, &stderr)
		}
		if said := stderr.String(); strings.Contains(said, "sesame") ||
			strings.Contains(said, missing) {
			t.Errorf("%s: it shows the secret or the path:\n%s", name, &stderr)
		}
	}
}

func TestEveryCommandIsInTheUsage(t *testing.T) {
	for name := range commands {
		if !strings.Contains(usage, "\n  "+name+" ") {
			t.Errorf("%s is not in the usage", name)
		}
	}
}

// A password appears in no error, wherever a parser splits the URL.
func TestNoPartOfAPasswordIsPrinted(t *testing.T) {
	for _, url := range []string{
		"postgres://me:Xy7%Zw9@host/shop",
		"postgres://me:Xy7/Zw9@host/shop",
		"postgres://me:Xy7?Zw9@host/shop",
		"postgres://me:Xy7:Zw9@host:port/shop",
		"postgres://me:Xy7@Zw9@host:99999999/shop",
		"postgres://me:Xy7Zw9@host:port/shop",
		"postgres://me:Xy7Zw9@[::1/shop",
		"postgres://me:Xy7Zw9@host/shop?sslmode=Xy7Zw9",
		"postgres://me:Xy7Zw9@host/shop?connect_timeout=Xy7Zw9",
		"postgres://me:Xy7Zw9@host/shop?pool_max_conns=Xy7Zw9",
		"postgres://me:Xy7Zw9@host/shop?target_session_attrs=Xy7Zw9",
		"postgres://host/shop?password=Xy7Zw9&sslmode=x",
		"postgres://host/shop?password=Xy7%ZZZw9",
		"postgres://me:Xy7@Zw9@host/shop",
		"postgres://me:Xy7@a/Zw9@host/shop",
		"postgres://me:Xy7@a?Zw9@host/shop",
		"postgres://me:Xy7`Zw9@host/shop?sslmode=x",
		"postgres://host/shop?password=x&Xy7Zw9",
		"postgres//me:Xy7Zw9@host/shop",
		"me:Xy7Zw9@host/shop",
		"host=h password=Xy7Zw9 port=x",
		"host=h password='Xy7 Zw9",
		"Xy7Zw9",
	} {
		_, err := poolConfig(url)
		if err == nil {
			t.Errorf("%s is accepted", url)
			continue
		}
		if text := err.Error(); strings.Contains(text, "Xy7") || strings.Contains(text, "Zw9") {
			t.Errorf("%s\n%s", url, text)
		}
	}
}

func TestTheProblemIsNamed(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://me:sesame@host/shop?sslmode=perhaps":    "parameter sslmode must be",
		"postgres://me:sesame@host/shop?pool_max_conns=all": "parameter pool_max_conns must be",
		"postgres://me:sesame@host:port/shop":               "parameter port must be",
	} {
		_, err := poolConfig(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", url, err, want)
		}
	}
}

func TestConnectTimeout(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://host/shop":                   connectTimeout.String(),
		"postgres://host/shop?connect_timeout=3": "3s",
	} {
		cfg, err := poolConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.ConnConfig.ConnectTimeout.String(); got != want {
			t.Errorf("%s: connect timeout %s, want %s", url, got, want)
		}
	}
}

func wantOutput(t *testing.T, stream, got, want string) {
	t.Helper()
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("%s:\n%s\nwant %q", stream, got, want)
	}
}

var writeCommand = flag.Bool("write-command", false,
	"write docs/reference/command.md instead of comparing with it")

// The page of the reference has the text that the command prints.
func TestTheCommandPage(t *testing.T) {
	text := "# The command migrate\n\n" +
		"[Migrations](../operations/migrations.md) has how to get it, and what to run when.\n\n"
	for _, line := range strings.Split(strings.TrimSpace(usage), "\n") {
		text += strings.TrimRight("    "+line, " ") + "\n"
	}
	const page = "../../docs/reference/command.md"
	if *writeCommand {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := os.ReadFile(page); err != nil || string(was) != text {
		t.Errorf("%s is not of the command: make it again with -write-command (%v)", page, err)
	}
}
