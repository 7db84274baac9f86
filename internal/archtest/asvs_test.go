package archtest

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var writeASVS = flag.Bool("write-asvs", false,
	"write docs/reference/asvs.md instead of comparing with it")

const asvsText = `# OWASP ASVS 5.0

What the OWASP Application Security Verification Standard 5.0.0 asks of sessions, and what of it the library does.
Chapter 7 is complete; of the chapters 3, 10, 14 and 16 the table has what concerns sessions.
The words are ours: look up the id for those of the standard.

| verdict | it means |
| --- | --- |
| met | by the library, with the defaults |
| if set | by the library, with this setting |
| yours | by the application, with this API |
| not met | the library has no answer |

To run a test: ` + "`git grep -n 'func TestName'`" + ` finds its package, then [run one test](../../CONTRIBUTING.md#run-one-test).
A test of "yours" shows that the API does its part, not that an application calls it.
The notes below the table have the limits.
[SECURITY.md](../../SECURITY.md) has the promises in full.
`

const asvsEnd = `
The table stands in [asvs_test.go](../../internal/archtest/asvs_test.go), with the ids that are left out.
To make this page again: ` + "`go test ./internal/archtest -run TestASVS -write-asvs`" + `
`

// verdict says what fulfils a requirement.
type verdict string

const (
	met   verdict = "met"
	ifSet verdict = "if set"
	yours verdict = "yours"
	unmet verdict = "not met"
)

// requirement is a line of the ASVS.
type requirement struct {
	id    string
	level int
	asks  string
	verdict
	with  string // settings and functions, each between backquotes
	tests []string
	notes []string
}

type asvsChapter struct {
	number int
	title  string
	// size is how many requirements each section has.
	size         []int
	requirements []requirement
	// others concern no session: whole sections and single requirements.
	others []string
}

var asvs = []asvsChapter{{
	7, "Session management",
	[]int{3, 4, 2, 5, 3, 2},
	[]requirement{
		{
			"7.1.1", 2, "timeouts are documented, deviations from NIST justified", yours,
			"`Config.Profile`, `Config.Deviations`",
			[]string{"TestDeviationsAreReported", "TestStartLineShowsConfig"},
			[]string{
				"The log, health and `Config.Deviations` name what is looser than the profile.",
				"The justification is yours.",
			},
		},
		{
			"7.1.2", 2, "number of parallel sessions is documented", yours,
			"`LimitConfig`",
			[]string{"TestLimitEndsTheOldest", "TestLimitDeniesALogin"},
			[]string{"By default a user may have any number of sessions."},
		},
		{
			"7.1.3", 2, "systems of a single sign-on are documented", yours,
			"`WithTags`, `Manager.RevokeTag`",
			[]string{"TestTagsOfALogin", "TestRevokeTag"},
			nil,
		},
		{
			"7.2.1", 1, "tokens are verified on the server", met,
			"`Manager.Handler`",
			[]string{"TestForgedCookiesCostNoQuery", "TestCookieTamperedWith"},
			nil,
		},
		{
			"7.2.2", 1, "tokens are made for each session", met,
			"`Session.Login`",
			[]string{"TestTokensAreRandom", "TestLogin"},
			nil,
		},
		{
			"7.2.3", 1, "tokens are unique, random, 128 bits or more", met,
			"256 bits of crypto/rand",
			[]string{"TestTokensAreRandom", "TestSecretsComeFromCryptoRand"},
			nil,
		},
		{
			"7.2.4", 1, "each authentication replaces the token", met,
			"`Session.Login`, `Session.StepUp`",
			[]string{"TestLogin", "TestStepUp", "TestTokenPlantedBeforeLogin", "TestPendingLogin"},
			[]string{
				"The application calls one of them at a re-authentication too.",
				"`Session.BeginLogin` and `Session.CompleteLogin` replace the token as well.",
				"With `Config.DisableRotateOnLogin` a login keeps the token: the log warns of it.",
			},
		},
		{
			"7.3.1", 2, "unused sessions end", met,
			"`Config.IdleTimeout`: 7 days",
			[]string{
				"TestExpiredSessionHasNoUserAndKeepsItsCookie", "TestProfileSetsTheTimeouts",
				"TestPostgresKeepsTheContract",
			},
			[]string{
				"Seven days suit few applications: choose a profile, or a timeout of your own.",
			},
		},
		{
			"7.3.2", 2, "no session outlives a maximum lifetime", met,
			"`Config.AbsoluteTimeout`: 30 days",
			[]string{
				"TestWatchEndsWithTheTimeouts", "TestLoginStartsTheTimeoutsAfresh",
				"TestPostgresKeepsTheContract",
			},
			nil,
		},
		{
			"7.4.1", 1, "an ended session is refused", met,
			"`Session.Logout`, `Revocation.MaxExposure`",
			[]string{
				"TestLogout", "TestSessionEndedElsewhereStaysEnded", "TestLogoutIsBoundByFreshness",
			},
			[]string{
				"With Redis, other instances may serve it for `Revocation.MaxExposure`: 30.25 s by default.",
				"It is 0 for a logout that Redis confirmed, and without a cache.",
				"With `Config.Cache` in the process it is never 0.",
			},
		},
		{
			"7.4.2", 1, "a disabled account has no session", yours,
			"`Manager.RevokeUser`, `Manager.WithTx`",
			[]string{"TestRevokeUserAndAll", "TestRevokeRefusesLoginUnderWay"},
			[]string{
				"Call it where the account is disabled; `Manager.WithTx` does so in the same transaction.",
				"The application refuses the next login.",
			},
		},
		{
			"7.4.3", 2, "a changed factor can end other sessions", yours,
			"`Session.RevokeOthers`, `Manager.WithTx`",
			[]string{"TestRevokeOthersSparesThisSession", "TestPasswordChangeInATransaction"},
			nil,
		},
		{
			"7.4.4", 2, "logout is easy to find", yours,
			"`Session.Logout`",
			[]string{"TestLoginAndLogout"},
			nil,
		},
		{
			"7.4.5", 2, "administrators can end sessions", yours,
			"`Manager.RevokeUser`, `Manager.RevokeAll`, `WithActor`",
			[]string{"TestRevokeUserAndAll", "TestRevocationEventsHaveReasonAndActor"},
			nil,
		},
		{
			"7.5.1", 2, "changes of factors need a full login", yours,
			"`RequireAuth`",
			[]string{"TestRequireAuth", "TestAnOldLoginIsAskedForThePassword"},
			[]string{"`RequireFresh` asks for any recent login, `RequireAuth` for its level too."},
		},
		{
			"7.5.2", 2, "users see and end their sessions", yours,
			"`Manager.List`, `Manager.Revoke`, `RequireAuth`",
			[]string{
				"TestDevicesOfAUser",
				"TestEndingOneDevice",
				"TestOtherDevicesEndAfterARecentLogin",
			},
			nil,
		},
		{
			"7.5.3", 3, "sensitive operations need one more proof", yours,
			"`Session.StepUp`, `RequireAuth`",
			[]string{"TestStepUp", "TestRequireAuth"},
			nil,
		},
		{
			"7.6.1", 2, "sessions end with the identity provider's", yours,
			"`Config.AbsoluteTimeout`, `Session.Authenticated`, `Manager.RevokeTag`",
			[]string{"TestAuthenticated", "TestRevokeTag"},
			nil,
		},
		{
			"7.6.2", 2, "no session begins without the user", yours,
			"`Session.Login`, `ServeWithheld`",
			[]string{"TestVisitorWithoutValuesHasNoSession", "TestWithheldRequests"},
			[]string{
				"A user's session begins by a login that the application calls, and by nothing else.",
			},
		},
	},
	nil,
}, {
	3, "Web frontend security",
	[]int{1, 3, 5, 8, 8, 1, 5},
	[]requirement{
		{
			"3.3.1", 1, "cookies are Secure, with a prefix", met,
			"`CookieConfig.Name`: `__Host-session`",
			[]string{"TestTheProductionCookieOnTheWire", "TestCookieConfigFaults"},
			[]string{
				"Another name may have no prefix: that is yours.",
				"`Development` leaves both out over plain http.",
			},
		},
		{
			"3.3.2", 2, "SameSite suits the cookie", met,
			"`CookieConfig.SameSite`: Strict",
			[]string{"TestTheProductionCookieOnTheWire", "TestWithheldRequests"},
			[]string{"The marker beside the cookie is Lax, and holds no secret."},
		},
		{
			"3.3.3", 2, "`__Host-` is the prefix", met,
			"`CookieConfig.Domain`: none",
			[]string{"TestTheProductionCookieOnTheWire", "TestCookieConfigFaults"},
			nil,
		},
		{
			"3.3.4", 2, "HttpOnly, and only in Set-Cookie", met,
			"always",
			[]string{"TestTheProductionCookieOnTheWire", "TestTokensAreNowhereButInTheCookie"},
			nil,
		},
		{
			"3.3.5", 3, "name and value have 4,096 bytes at most", met,
			"`CookieConfig.Name`",
			[]string{"TestCookieConfigFaults"},
			nil,
		},
		{
			"3.5.1", 1, "requests of other sites are refused", yours,
			"`CookieConfig.SameSite`, net/http.CrossOriginProtection",
			[]string{"TestWithheldRequests", "TestFormFromAnotherSiteIsRefused"},
			[]string{
				"Strict keeps the session from requests of other sites, not from those of sibling hosts.",
				"Wrap the router in `http.CrossOriginProtection`, as examples/webapp does.",
			},
		},
		{
			"3.5.3", 1, "a GET changes nothing", yours,
			"`Manager.StatusHandler`",
			[]string{"TestStatusRefuses", "TestWrongMethodIs405"},
			[]string{"Log in and out by POST."},
		},
		{
			"3.5.4", 2, "each application has its own host", yours,
			"`CookieConfig.Domain`: none",
			[]string{"TestCookieUnderTwoSpellings"},
			[]string{"Of two cookies whose sessions are alive the library trusts none."},
		},
		{
			"3.5.8", 3, "other sites embed nothing of a user", yours,
			"`CookieConfig.SameSite`: Strict",
			[]string{"TestWithheldRequests"},
			[]string{
				"Strict keeps other sites out.",
				"Sibling hosts and SameSite=None need Cross-Origin-Resource-Policy.",
			},
		},
	},
	[]string{
		"3.1", "3.2", "3.4", "3.5.2", "3.5.5", "3.5.6", "3.5.7", "3.6", "3.7",
	},
}, {
	10, "OAuth and OpenID Connect",
	[]int{2, 3, 5, 16, 5, 2, 3},
	[]requirement{
		{
			"10.1.1", 2, "tokens of a provider stay on the server", yours,
			"`NewKey`",
			[]string{"TestSessionKeepsValues", "TestTokensAreNowhereButInTheCookie"},
			[]string{"Values of a session never reach the browser, and are sealed in Redis."},
		},
		{
			"10.1.2", 2, "an answer belongs to the browser's request", yours,
			"`NewKey`, `ServeWithheld`",
			[]string{"TestServeWithheld", "ExampleServeWithheld"},
			[]string{"[other-sites.md](../guides/other-sites.md) has both ways back; that by POST is let past the check of the origin."},
		},
		{
			"10.2.1", 2, "state or PKCE stops forged answers", yours,
			"`NewKey`, `Key.Pop`",
			[]string{"TestKeyPop", "ExampleServeWithheld"},
			[]string{
				"Two requests at once may both pop one value: the provider accepts a code once.",
			},
		},
		{
			"10.5.1", 2, "an ID token is used once", yours,
			"`Key.Pop`",
			[]string{"TestKeyPop"},
			nil,
		},
		{
			"10.5.2", 2, "the user is named by issuer and subject", yours,
			"`Session.Login`",
			[]string{"TestLoginRefusesInvalidUserIDs"},
			[]string{"A user id has at most 256 bytes."},
		},
		{
			"10.5.5", 2, "a back-channel logout is verified", yours,
			"`WithTags`, `Manager.RevokeTag`",
			[]string{
				"TestBackchannelLogout", "TestBackchannelLogoutRefuses", "TestLogoutTokenWorksOnce",
			},
			[]string{
				"Give the login a tag of the provider's session, and revoke the tag.",
				"The library verifies no token of a provider: integration/oidc shows how.",
			},
		},
	},
	[]string{
		"10.2.2", "10.2.3", "10.3", "10.4", "10.5.3", "10.5.4", "10.6", "10.7",
	},
}, {
	14, "Data protection",
	[]int{2, 8, 3},
	[]requirement{
		{
			"14.2.1", 1, "no token is in a URL", met,
			"a cookie alone",
			[]string{"TestTokensAreNowhereButInTheCookie"},
			nil,
		},
		{
			"14.2.2", 2, "server-side caches keep nothing sensitive", met,
			"`CacheConfig.EncryptionKeys`",
			[]string{
				"TestRedisHoldsNothingReadable", "TestResponseWithCookieIsNotCached",
				"TestResponseWithSessionIsPrivate",
			},
			[]string{
				"A Cache-Control of the handler's own stays, unless the response sets the cookie.",
			},
		},
		{
			"14.2.4", 2, "data is protected as its level demands", unmet,
			"sealed in Redis alone",
			[]string{"TestRedisHoldsNothingReadable"},
			[]string{
				"Postgres holds the values of sessions unencrypted.",
				"Encrypt the disk, or the value before `Session.Set`.",
			},
		},
		{
			"14.2.5", 3, "caches can't be deceived", met,
			"Cache-Control: private, Vary: Cookie",
			[]string{"TestResponseWithSessionIsPrivate", "TestFailedLoadVariesByCookie"},
			[]string{"The statuses of missing files are yours."},
		},
		{
			"14.2.7", 3, "old data is deleted", met,
			"`Config.PruneInterval`, `Manager.Run`",
			[]string{
				"TestRunPrunesUntilItsContextEnds",
				"TestPruneDeletesExpiredSessionsOnly",
			},
			nil,
		},
		{
			"14.3.1", 1, "a logout clears the browser's storage", ifSet,
			"`PrivacyConfig.ClearSiteData`",
			[]string{"TestClearSiteData", "TestClearSiteDataNeedsALogout"},
			[]string{
				"Without a connection, and after a timeout, the page has to clear by itself.",
				"`Manager.StatusHandler` reports to the page how long the session lasts.",
			},
		},
		{
			"14.3.2", 2, "browsers cache nothing sensitive", yours,
			"no-store with the cookie",
			[]string{"TestResponseWithCookieIsNotCached"},
			[]string{"What only reads the session is private: set no-store on sensitive pages."},
		},
		{
			"14.3.3", 2, "browsers store the token alone", met,
			"the values stay in Postgres",
			[]string{"TestCookieSaysWhatWasSigned"},
			[]string{"What the application's scripts store is theirs."},
		},
	},
	[]string{"14.1", "14.2.3", "14.2.6", "14.2.8"},
}, {
	16, "Logs and errors",
	[]int{1, 5, 4, 3, 4},
	[]requirement{
		{
			"16.1.1", 2, "an inventory of the logs", yours,
			"events.md, log.md",
			[]string{"TestTheReferenceIsComplete"},
			[]string{"[events.md](events.md) and [log.md](log.md) have the library's part."},
		},
		{
			"16.2.1", 2, "lines say when, where, who, what", met,
			"`Event.At`, `Event.IP`, `Event.UserID`, `Event.LoginID`",
			[]string{
				"TestDefaultLogHasALineForAnEvent",
				"TestTheLogHasTheClientOfALogin",
				"TestTheLogNamesTheLogin",
				"TestEventsHaveTheirTime",
			},
			[]string{
				"Logins and logouts have an address, unless `PrivacyConfig.DisableMetadata` is set.",
				"For other events, an `Observer` gets the values of the request's context, and can add it.",
			},
		},
		{
			"16.2.2", 2, "times have a zone", yours,
			"`Config.Logger`",
			[]string{"TestEventsHaveTheirTime"},
			[]string{"The handlers of slog write the offset; the clock is that of the process."},
		},
		{
			"16.2.4", 2, "one common format", met,
			"`Config.Logger`: slog",
			[]string{"TestDefaultLogHasALineForAnEvent"},
			nil,
		},
		{
			"16.2.5", 2, "no token or key in the log", met,
			"handles and login ids",
			[]string{"TestLogHoldsNoSecrets", "TestNothingPrintsSecrets"},
			nil,
		},
		{
			"16.3.1", 2, "logins are logged, failures too", yours,
			"`EventLogin`, `EventLoginBegan`, `Event.Methods`, `Config.RecordEvents`",
			[]string{
				"TestEveryLoginHasItsLine", "TestTheLogNamesTheLogin", "TestEventsOrNothing",
				"TestEventsAreOff",
			},
			[]string{
				"The library logs what it is called for: a wrong password is yours to log.",
				"`Config.RecordEvents`, off by default, makes each a row too: see [recorded events](../guides/events.md).",
			},
		},
		{
			"16.3.2", 2, "refusals are logged", yours,
			"`EventForeignHandle`, `RequireAuth`",
			[]string{"TestDeviceOfAnotherUserIsNotFound", "TestRequireAuth"},
			[]string{"`RequireAuth` logs nothing: the handler that it passes refusals to can."},
		},
		{
			"16.3.3", 2, "attempts to bypass are logged", met,
			"`EventForged`, `EventCookieConflict`, `EventSuspicious`",
			[]string{"TestEventsOfAnyClientHaveLimitedLines", "TestSuspiciousUseIsObserved"},
			[]string{"In a flood a kind has a line a second, with the number of those left out."},
		},
		{
			"16.3.4", 2, "unexpected errors are logged", met,
			"`EventLoadFailed`, `EventEmergencyBegan`",
			[]string{"TestOutageIsLoggedOnceASecond", "TestOpenFails"},
			nil,
		},
		{
			"16.4.1", 2, "lines can't be forged", yours,
			"`Config.Logger`: slog",
			[]string{"TestLogHoldsNoSecrets"},
			[]string{"What clients send goes into attributes, which the handlers of slog quote."},
		},
		{
			"16.5.1", 2, "clients get a generic message", met,
			"`ServeError`",
			[]string{"TestServeErrorStatus"},
			nil,
		},
		{
			"16.5.2", 2, "an outage leaves it secure", met,
			"`OutageConfig`",
			[]string{
				"TestOpenWithoutPostgres",
				"TestNothingFailsWithRedis",
				"TestEmergencyNewSessionsWork",
			},
			[]string{"In an outage a revoke reaches other instances late: SECURITY.md says when."},
		},
		{
			"16.5.3", 2, "it fails closed", met,
			"`FromContext`, `ErrUnavailable`",
			[]string{
				"TestFailedLoadKeepsTheCookie",
				"TestErrorResponseDiscardsChanges",
				"TestHandlerThatPanics",
			},
			nil,
		},
		{
			"16.5.4", 3, "a last handler catches all", yours,
			"a middleware outside of `Manager.Handler`",
			[]string{"TestHandlerThatPanics", "TestPanickingObserverHasLimitedLines"},
			[]string{
				"The library passes a handler's panic on, and saves nothing of that request.",
				"It catches and logs those of an `Observer`.",
			},
		},
	},
	[]string{"16.2.3", "16.4.2", "16.4.3"},
}}

// The page has every requirement of chapter 7 and those of other chapters that
// are not set aside. Each test and each name of the API exists.
func TestASVS(t *testing.T) {
	names, tests := apiNames(t), testNames(t)
	code := regexp.MustCompile("`([^`]*)`")
	known := func(id, text string) {
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			if name := m[1]; name[0] != '_' && !strings.HasPrefix(name, "http.") && !names[name] {
				t.Errorf("%s: sessionstore has no %s", id, name)
			}
		}
	}
	for _, chapter := range asvs {
		ids := map[string]int{}
		for _, r := range chapter.requirements {
			ids[r.id]++
			for _, cell := range []string{r.asks, r.with} {
				if len(strings.Fields(cell)) > maxCellWords || strings.Contains(cell, "|") {
					t.Errorf("%s: a cell is too long: %s", r.id, cell)
				}
			}
			known(r.id, r.with)
			for _, note := range r.notes {
				known(r.id, note)
			}
			if len(r.tests) == 0 || r.level < 1 || r.level > 3 {
				t.Errorf("%s: no test, or level %d", r.id, r.level)
			}
			for _, test := range r.tests {
				if !tests[test] {
					t.Errorf("%s names %s, which does not exist", r.id, test)
				}
			}
		}
		for section, size := range chapter.size {
			for i := range size {
				sectionID := fmt.Sprintf("%d.%d", chapter.number, section+1)
				id := sectionID + "." + strconv.Itoa(i+1)
				isOther := slices.Contains(chapter.others, sectionID) ||
					slices.Contains(chapter.others, id)
				if n := ids[id]; n > 1 || (n == 1) == isOther {
					t.Errorf("%s stands %d times in the table; set aside: %v", id, n, isOther)
				}
				delete(ids, id)
			}
		}
		for id := range ids {
			t.Errorf("%s is none of chapter %d", id, chapter.number)
		}
	}
	const name = "docs/reference/asvs.md"
	text := asvsPage()
	if *writeASVS {
		if err := os.WriteFile(filepath.Join("..", "..", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, name) != text {
		t.Errorf("%s is not of this table: make it again with -write-asvs", name)
	}
}

func asvsPage() string {
	var b strings.Builder
	b.WriteString(asvsText)
	for _, chapter := range asvs {
		fmt.Fprintf(&b, "\n## Chapter %d: %s\n\n", chapter.number, chapter.title)
		b.WriteString("| id | level | it asks | verdict | with | tests |\n")
		b.WriteString("| --- | --- | --- | --- | --- | --- |\n")
		notes := ""
		for _, r := range chapter.requirements {
			fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | `%s` |\n", r.id, r.level, r.asks, r.verdict,
				r.with, strings.Join(r.tests, "`, `"))
			for _, note := range r.notes {
				notes += "- " + r.id + ": " + note + "\n"
			}
		}
		b.WriteString("\n" + notes)
	}
	b.WriteString(asvsEnd)
	return b.String()
}

// apiNames returns the exported names of sessionstore and sessionstore/store,
// with those of fields and methods as "Type.Name".
func apiNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{"sessionstore", "sessionstore/store"} {
		for _, file := range parsed(t, dir) {
			for name := range file.Scope.Objects {
				names[name] = true
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv != nil {
						names[receiver(n.Recv.List[0].Type)+"."+n.Name.Name] = true
					}
				case *ast.TypeSpec:
					fields, ok := n.Type.(*ast.StructType)
					if !ok {
						return true
					}
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							names[n.Name.Name+"."+name.Name] = true
						}
					}
				}
				return true
			})
		}
	}
	return names
}

// receiver returns the name of a receiver's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// testNames returns the tests, fuzz tests and examples of all modules.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, name := range tracked(t, "*_test.go") {
		for _, m := range matches(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`, read(t, name)) {
			names[m[1]] = true
		}
	}
	return names
}
