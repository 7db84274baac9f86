package store_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// countedInet counts the addresses that pgx scans.
type countedInet struct {
	pgtype.InetCodec
	scans *atomic.Int64
}

type countedPlan struct {
	pgtype.ScanPlan
	scans *atomic.Int64
}

func (c countedInet) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	plan := c.InetCodec.PlanScan(m, oid, format, target)
	if plan == nil {
		return nil
	}
	return countedPlan{plan, c.scans}
}

func (p countedPlan) Scan(src []byte, target any) error {
	p.scans.Add(1)
	return p.ScanPlan.Scan(src, target)
}

// The store decodes the rows of sessions itself, so that an unreadable one
// fails alone.
func TestRowsAreNotScanned(t *testing.T) {
	t.Parallel()
	var scans atomic.Int64
	c := hire(t, func(pc *pgxpool.Config) {
		pc.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
			conn.TypeMap().RegisterType(&pgtype.Type{
				Name: "inet", OID: pgtype.InetOID, Codec: countedInet{scans: &scans},
			})
			return nil
		}
	})
	client := sessionstore.Client{IP: netip.MustParseAddr("2001:db8::7"), UserAgent: "browser/1"}
	id := testkit.NewID()
	if _, err := c.store.Create(t.Context(), store.Draft{ID: id, Client: client}); err != nil ||
		scans.Load() != 0 {
		t.Fatalf("a single row is scanned %d times: %v", scans.Load(), err)
	}

	release := c.jamCreates()
	c.together(many, release, func(ctx context.Context, i int) {
		rec, err := c.store.Create(ctx,
			store.Draft{ID: testkit.NewID(), UserID: "ada", Client: client})
		if err != nil || rec.Client != client || rec.UserID != "ada" || rec.Version != 1 ||
			string(rec.Data) != "{}" || rec.AuthenticatedAt.IsZero() {
			t.Errorf("create %d: %+v: %v", i, rec.Client, err)
		}
	})
	c.wantShared("SessionCreate", many)
	if n := scans.Load(); n > 0 {
		t.Errorf("%d rows were scanned", n)
	}
}
