// Package telemetry_test reads what otelsession reports of a chain of real
// servers, as Prometheus would scrape it and as spans. It compares the
// dashboard and the alert rules with that.
//
// Prometheus's own parser reads the queries, since one of our own would have to
// be verified first. Prometheus needs 200 modules. So this is a module of its
// own: neither an application that uses otelsession nor the other integration
// tests download or compile them.
package telemetry_test

import (
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m, testkit.NeedPostgres, testkit.OwnServers) }
