package citus_test

import (
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// shared are the statements that a store must not send to a distributed table:
// they ask every node, or are refused.
var shared = []string{
	"SessionLoadMany", "SessionMissing", "SessionCreateMany", "SessionSaveMany",
	"SessionRotateMany", "SessionTouch", "SessionDelete", "OwnerRevoke", "OwnerRevokeHandle",
	"OwnerTrim", "ExpiryEstimate",
}

// apart checks that nothing was shared, and that the counter saw statements.
func apart(t *testing.T, s *testkit.Statements) {
	t.Helper()
	for _, name := range shared {
		expect(t, name+" was sent", s.Count(name), 0)
	}
	if s.Count("SessionLoad") == 0 && s.Count("SessionSave") == 0 {
		t.Error("nothing was sent: this test sees nothing")
	}
}
