package sessionstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/reporadar/pgsession/internal/object"
)

// decodeValue decodes the JSON of a value. The caller does not hold s.mu: an
// UnmarshalJSON of the application may use the session.
func decodeValue(key string, raw json.RawMessage, dst any) error {
	if text, ok := dst.(*string); ok && text != nil {
		if plain, ok := object.Text(raw); ok { // json.Unmarshal allocates a decoder
			*text = plain
			return nil
		}
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		problem := fmt.Sprintf("does not decode into %T", dst)
		return &ValueError{Key: key, Problem: problem, Err: err}
	}
	return nil
}

// decodeAny decodes the JSON of a value for a template. A float64 would lose
// the digits of a long number, and print a million as 1e+06.
func decodeAny(raw json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return withNumbers(value), nil
}

// withNumbers replaces each json.Number, which templates can't compare.
func withNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		float, _ := v.Float64()
		return float
	case []any:
		for i := range v {
			v[i] = withNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = withNumbers(v[key])
		}
	}
	return value
}

const (
	maxKeyBytes = 255
	// A float64 has at most 309 digits before the point and 324 after it;
	// Postgres ends at 16,383.
	maxDigits = 400
	// encoding/json decodes 10,000 levels, and Postgres about as many as its
	// max_stack_depth has room for.
	maxDepth = 1000
)

// encodeValue makes the JSON of a value, and refuses what Postgres's jsonb
// cannot hold or would alter.
func encodeValue(key string, v any) (json.RawMessage, error) {
	if problem := checkKey(key); problem != "" {
		return nil, &ValueError{Key: key, Problem: problem}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, &ValueError{Key: key, Problem: "can't be represented as JSON", Err: err}
	}
	if problem := checkJSON(raw); problem != "" {
		return nil, &ValueError{Key: key, Problem: problem}
	}
	return plainNumbers(raw), nil
}

func checkKey(key string) string {
	switch {
	case key == "":
		return "the key is empty"
	case len(key) > maxKeyBytes:
		return "the key is longer than 255 bytes"
	case !utf8.ValidString(key):
		return "the key is not valid UTF-8"
	case bytes.IndexByte([]byte(key), 0) >= 0:
		return "the key holds a NUL character, which Postgres cannot store"
	}
	return ""
}

// checkJSON looks for what Postgres refuses or blows up; a json.RawMessage, a
// json.Number and what a Marshaler writes get here as the application has them.
// raw is valid JSON but for its strings' bytes.
func checkJSON(raw []byte) string {
	if !utf8.Valid(raw) {
		return "not valid UTF-8"
	}
	depth := 0
	for i := 0; i < len(raw); i++ {
		n, problem := 1, ""
		switch c := raw[i]; {
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				problem = "is nested deeper than 1000 levels"
			}
		case c == ']' || c == '}':
			depth--
		case c == '"':
			n, problem = checkString(raw[i:])
		case c == '-' || c >= '0' && c <= '9':
			n, problem = checkNumber(raw[i:])
		}
		if problem != "" {
			return problem
		}
		i += n - 1
	}
	return ""
}

// checkString checks the string that raw begins with, and says how long it is.
// encoding/json writes invalid UTF-8 as the escape \ufffd, while a genuine
// U+FFFD stays three plain bytes: so the escape means that something was lost.
func checkString(raw []byte) (n int, problem string) {
	escape := func(i int) rune { // of \uXXXX at i; -1 when there is none
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return -1
		}
		c, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		return rune(c)
	}
	for i := 1; i < len(raw); i++ {
		if raw[i] == '"' {
			return i + 1, ""
		}
		if raw[i] != '\\' {
			continue
		}
		switch c := escape(i); {
		case c == 0:
			return 0, "holds a NUL character, which Postgres cannot store"
		case c == utf8.RuneError && string(raw[i+2:i+6]) == "fffd":
			return 0, "not valid UTF-8"
		case utf16.IsSurrogate(c):
			if utf16.DecodeRune(c, escape(i+6)) == utf8.RuneError {
				return 0, "holds half of a surrogate pair, which Postgres cannot store"
			}
			i += 6 // the other half
		}
		i++ // the escaped character, which may be a quote
	}
	return len(raw), ""
}

// checkNumber checks the number that raw begins with, and says how long it is.
// Postgres stores 1e100000 in a few bytes and writes it out with all its zeros:
// one would get around Config.Limits.MaxDataSize.
func checkNumber(raw []byte) (n int, problem string) {
	for n < len(raw) && bytes.IndexByte([]byte("+-.0123456789eE"), raw[n]) >= 0 {
		n++
	}
	exponent := 0
	var err error
	if e := bytes.IndexAny(raw[:n], "eE"); e >= 0 {
		exponent, err = strconv.Atoi(string(raw[e+1 : n]))
	}
	if err != nil || n > maxDigits || exponent > maxDigits || exponent < -maxDigits {
		return n, "holds a number of more than 400 digits"
	}
	return n, ""
}

// plainNumbers writes numbers without exponents, as Postgres returns them:
// 1e308 has 309 digits there, and Config.Limits.MaxDataSize counts what is
// written here. raw has passed checkJSON.
func plainNumbers(raw []byte) []byte {
	var plain []byte // nil while it is the same as raw
	from := 0
	for i := 0; i < len(raw); {
		n := 1
		switch c := raw[i]; {
		case c == '"':
			n, _ = checkString(raw[i:])
		case c == '-' || c >= '0' && c <= '9':
			n, _ = checkNumber(raw[i:])
			if e := bytes.IndexAny(raw[i:i+n], "eE"); e >= 0 {
				exponent, _ := strconv.Atoi(string(raw[i+e+1 : i+n]))
				plain = appendShifted(append(plain, raw[from:i]...), raw[i:i+e], exponent)
				from = i + n
			}
		}
		i += n
	}
	if from == 0 {
		return raw
	}
	return append(plain, raw[from:]...)
}

// appendShifted appends a decimal whose point is moved by so many digits to the
// right.
func appendShifted(to, decimal []byte, by int) []byte {
	if decimal[0] == '-' {
		to, decimal = append(to, '-'), decimal[1:]
	}
	whole, fraction, _ := bytes.Cut(decimal, []byte("."))
	digits := slices.Concat(bytes.Repeat([]byte("0"), max(0, -by)), whole, fraction)
	point := max(0, -by) + len(whole) + by
	digits = append(digits, bytes.Repeat([]byte("0"), max(0, point-len(digits)))...)
	for point > 1 && digits[0] == '0' { // JSON has no leading zeros
		digits, point = digits[1:], point-1
	}
	if to = append(to, digits[:point]...); point < len(digits) {
		to = append(append(to, '.'), digits[point:]...)
	}
	return to
}
