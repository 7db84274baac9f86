// Package variable finds variables of an environment that look like settings of
// the library and are none, for the library and for the command pgsession.
package variable

import (
	"maps"
	"slices"
	"strings"
)

// Fields has each variable that the library reads, with the fields of
// sessionstore.Config that it sets. A test of sessionstore compares it with
// ConfigFromEnv.
var Fields = map[string][]string{
	"APP_ENV":                           {"Env"},
	"NODE_ENV":                          nil,
	"DATABASE_URL":                      {"DatabaseURL"},
	"DATABASE_URL_FILE":                 nil,
	"SESSION_SCHEMA":                    {"Schema"},
	"SESSION_SECRET":                    {"Secrets"},
	"SESSION_SECRET_FILE":               nil,
	"SESSION_PROFILE":                   {"Profile"},
	"SESSION_TIMEOUT":                   {"IdleTimeout"},
	"SESSION_ABSOLUTE_TIMEOUT":          {"AbsoluteTimeout"},
	"SESSION_SLIDING_WINDOW":            {"DisableSliding"},
	"SESSION_REGENERATE_ON_LOGIN":       {"DisableRotateOnLogin"},
	"SESSION_COOKIE_NAME":               {"Cookie.Name"},
	"COOKIE_DOMAIN":                     {"Cookie.Domain"},
	"SESSION_COOKIE_SAMESITE":           {"Cookie.SameSite"},
	"SESSION_COOKIE_MARKER":             {"Cookie.DisableMarker"},
	"SESSION_COOKIE_PARTITIONED":        {"Cookie.Partitioned"},
	"SESSION_COOKIE_FORMAT":             {"Cookie.Format"},
	"SESSION_COOKIE_PERSISTENT":         {"Cookie.Persistent"},
	"LEGACY_SESSION_SECRET":             {"Legacy.Cookie"},
	"LEGACY_SESSION_SECRET_FILE":        nil,
	"LEGACY_SESSION_COOKIE":             {"Legacy.Cookie"},
	"LEGACY_SESSION_UNTIL":              {"Legacy.Until"},
	"SESSION_MAX_PER_USER":              {"Limits.MaxSessionsPerUser"},
	"SESSION_DENY_AT_MAX":               {"Limits.DenyAtMaxSessions"},
	"SESSION_TRACK_METADATA":            {"Privacy.DisableMetadata"},
	"SESSION_IP_PREFIX":                 {"Privacy.IPv4Prefix", "Privacy.IPv6Prefix"},
	"SESSION_CLEAR_SITE_DATA":           {"Privacy.ClearSiteData"},
	"SESSION_SUSPICIOUS_ACTIVITY_CHECK": {"Suspicion.DisableCheck"},
	"SESSION_SUSPICIOUS_ACTION":         {"Suspicion.Action"},
	"USE_REDIS_SESSIONS":                {"Cache.UseRedis"},
	"REDIS_URL":                         {"Cache.RedisURL"},
	"REDIS_URL_FILE":                    nil,
	"SESSION_ENCRYPTION_KEY":            {"Cache.EncryptionKeys"},
	"SESSION_ENCRYPTION_KEY_FILE":       nil,
	"SESSION_CACHE_FRESHNESS":           {"Cache.Freshness", "Cache.DisableServing"},
	"SESSION_LOCAL_FRESHNESS":           {"Cache.LocalFreshness"},
	"SESSION_EMERGENCY":                 {"Outage.DisableEmergency"},
	"SESSION_EMERGENCY_GRACE":           {"Outage.Grace"},
	"TRUSTED_PROXIES":                   {"TrustedProxies", "TrustUnixSocket"},
	"SESSION_PRUNE_INTERVAL":            {"PruneInterval", "DisablePrune"},
	"SESSION_RECORD_EVENTS":             {"RecordEvents"},
}

// Unknown is a variable with a name of ours that the library does not read.
type Unknown struct {
	Name string
	// Nearest is the variable that may have been meant; empty if none is near.
	Nearest string
}

// Advice returns what to do about it.
func (u Unknown) Advice() string {
	if u.Nearest == "" {
		return "it has no effect on pgsession: correct its name by " +
			"docs/reference/configuration.md, or ignore this if it is the application's own"
	}
	return "it has no effect on pgsession: set " + u.Nearest +
		" instead, or ignore this if it is the application's own"
}

const prefix, legacyPrefix = "SESSION_", "LEGACY_SESSION_"

// In returns the unknown variables of an environment, sorted by name. Its
// members are as those of [os.Environ]. An empty variable counts as not set.
func In(environ []string) (unknown []Unknown) {
	set := map[string]bool{}
	for _, member := range environ {
		name, value, _ := strings.Cut(member, "=")
		if strings.TrimSpace(value) != "" {
			set[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		_, known := Fields[name]
		ours := strings.HasPrefix(name, prefix) || strings.HasPrefix(name, legacyPrefix)
		if ours && !known && !others[name] && !ofService(name, set) {
			unknown = append(unknown, Unknown{name, nearest(name)})
		}
	}
	return unknown
}

// others are variables of other programs: X11 sets SESSION_MANAGER.
var others = map[string]bool{"SESSION_MANAGER": true}

// ofService reports whether Kubernetes has set a variable for a service, such
// as SESSION_STORE_PORT_6379_TCP for one that is called session-store. Each has
// a variable …_SERVICE_HOST.
func ofService(name string, set map[string]bool) bool {
	for _, part := range []string{"_SERVICE_", "_PORT"} {
		for at := range len(name) {
			if strings.HasPrefix(name[at:], part) && set[name[:at]+"_SERVICE_HOST"] {
				return true
			}
		}
	}
	return false
}

// spellings has the variable that each spelling stands for, and "" for a
// spelling of several: the name of the variable, or that of its field.
var spellings = makeSpellings()

func makeSpellings() map[string]string {
	all := map[string]string{}
	add := func(spelling, name string) {
		if other, ok := all[spelling]; ok && other != name {
			name = ""
		}
		all[spelling] = name
	}
	for name, fields := range Fields {
		add(fold(name), name)
		for _, field := range fields {
			group, own, nested := strings.Cut(field, ".")
			if !nested {
				group, own = "", field
			}
			for _, own := range []string{own, strings.TrimPrefix(own, "Disable")} {
				add(fold(group+own), name)
				add(fold(own), name)
			}
		}
	}
	return all
}

// fold returns a name in small letters, without its prefix and underscores.
func fold(name string) string {
	name, legacy := strings.CutPrefix(name, legacyPrefix)
	if legacy {
		name = "legacy" + name
	}
	name = strings.TrimPrefix(name, prefix)
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}

// maxTypos bounds the wrong letters of a name. A short name may have fewer: one
// for each lettersPerTypo.
const maxTypos, lettersPerTypo = 2, 4

// nearest returns the variable with the nearest spelling, or "" if none is
// near, or several are as near.
func nearest(name string) string {
	folded := fold(name)
	if found, ok := spellings[folded]; ok {
		return found
	}
	least, found := min(maxTypos, len(folded)/lettersPerTypo)+1, ""
	for spelling, variable := range spellings {
		switch n := typos(folded, spelling); {
		case n < least:
			least, found = n, variable
		case n == least && variable != found:
			found = ""
		}
	}
	return found
}

// typos returns how many letters are missing, too many, wrong or swapped with
// their neighbour.
func typos(a, b string) int {
	var before, last []int // of the prefixes of a without its two last letters, and without one
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			wrong := 0
			if a[i] != b[j] {
				wrong = 1
			}
			row[j+1] = min(last[j]+wrong, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
