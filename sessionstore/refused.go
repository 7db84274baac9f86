package sessionstore

import (
	"net/http"
	"slices"
	"strings"
)

// begin commits the session for a response that is about to be sent by w. When
// that fails it sends an error in place of the response.
func (x *exchange) begin(w http.ResponseWriter, status int) error {
	err := x.commit(status)
	if err == nil {
		return nil
	}
	forbidCaching(x.header)
	answer := &response{ResponseWriter: w, request: x.request, commit: func(int) error { return nil }}
	x.m.cfg.ErrorHandler(answer.shape(), x.request, err)
	if !answer.begun { // an ErrorHandler that sends nothing must not look like success
		answer.WriteHeader(http.StatusInternalServerError)
	}
	// A Save that the handler makes now would move the session to a token that
	// the browser never gets.
	x.end()
	return err
}

// keepForError takes back what a handler has put into the header, since the
// response that it describes is not sent. Vary, the headers of CORS and those
// of security stay as the handler left them, the others as they were before it.
// Content-Length is never that of the error.
func keepForError(h, before http.Header) {
	for name := range h {
		if !describesAnyResponse(name) {
			delete(h, name)
		}
	}
	for name, lines := range before {
		if !describesAnyResponse(name) && !strings.EqualFold(name, "Content-Length") {
			h[name] = slices.Clone(lines)
		}
	}
}

// describesAnyResponse reports whether a header says how the browser and caches
// are to treat a response of this address, whatever it holds.
func describesAnyResponse(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "access-control-") || responsePolicies[name]
}

var responsePolicies = map[string]bool{
	"vary":                                     true,
	"timing-allow-origin":                      true,
	"content-security-policy":                  true,
	"content-security-policy-report-only":      true,
	"cross-origin-embedder-policy":             true,
	"cross-origin-embedder-policy-report-only": true,
	"cross-origin-opener-policy":               true,
	"cross-origin-opener-policy-report-only":   true,
	"cross-origin-resource-policy":             true,
	"document-policy":                          true,
	"feature-policy":                           true,
	"integrity-policy":                         true,
	"integrity-policy-report-only":             true,
	"nel":                                      true,
	"origin-agent-cluster":                     true,
	"permissions-policy":                       true,
	"permissions-policy-report-only":           true,
	"referrer-policy":                          true,
	"report-to":                                true,
	"reporting-endpoints":                      true,
	"strict-transport-security":                true,
	"x-content-type-options":                   true,
	"x-dns-prefetch-control":                   true,
	"x-download-options":                       true,
	"x-frame-options":                          true,
	"x-permitted-cross-domain-policies":        true,
	"x-xss-protection":                         true,
}
