package allocations

import "testing"

// BenchmarkMiddleware: the difference in allocs/op is what the middleware and
// the session code allocate.
func BenchmarkMiddleware(b *testing.B) {
	r, err := NewRequest(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("session", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Serve(r.Session)
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Serve(r.Bare)
		}
	})
}

func TestBothHandlersAnswerTheSame(t *testing.T) {
	if _, err := NewRequest(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCountNeedsAnExactProfile(t *testing.T) {
	if _, err := Count(t.Context()); err == nil {
		t.Error("counted with a sampling profile")
	}
}
