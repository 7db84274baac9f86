package coherence

// Watermark is a moment of Postgres's clock. A process that has revoked many
// sessions does not serve entries that were validated up to it. It needs no
// list of the sessions, and serves what is read later. The zero Watermark
// covers nothing.
type Watermark struct {
	at      Time // 0 for none
	unknown bool // the clock was: it covers every entry until Resolve
}

// RevokedAt returns the watermark of a revoke. now is the bound of Postgres's
// clock when the answer came. The revoke was visible by then, so what is read
// later has it. The allowance covers a bound that is behind: an entry from
// before the revoke may reach this process afterwards.
func RevokedAt(now Bound) Watermark { return Watermark{unknown: true}.Resolve(now) }

// Covers reports whether an entry must not be served.
func (w Watermark) Covers(e Entry) bool {
	return w.unknown || w.at != 0 && e.ValidatedAt <= w.at
}

// Resolve returns the watermark once the clock is known. A later bound is on
// the safe side.
func (w Watermark) Resolve(now Bound) Watermark {
	if !w.unknown || !now.Known {
		return w
	}
	return Watermark{at: now.Time.Add(Allowance)}
}

// Or returns the watermark that covers what one of the two covers.
func (w Watermark) Or(other Watermark) Watermark {
	return Watermark{at: max(w.at, other.at), unknown: w.unknown || other.unknown}
}

// Outlasts reports whether a watermark still covers entries that are fresh.
func (p Policy) Outlasts(w Watermark, now Bound) bool {
	return w.unknown || !now.Known || now.Time <= w.at.Add(p.Freshness+p.Grace)
}
