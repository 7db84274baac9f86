package rows

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPayloadIsAbout400Bytes(t *testing.T) {
	if n := len(Payload(199_999)); n < 380 || n > 480 {
		t.Errorf("the payload has %d bytes", n)
	}
	if strings.Contains(filler, "'") || strings.Contains(filler, `"`) {
		t.Error("the filler needs escaping in SQL or JSON")
	}
}

func TestPayloadIsTheJSONOfValues(t *testing.T) {
	want, err := json.Marshal(Values(12))
	if err != nil || string(want) != string(Payload(12)) {
		t.Errorf("payload %s, values %s, %v", Payload(12), want, err)
	}
}

func TestCheck(t *testing.T) {
	if err := Check(7, Payload(7)); err != nil {
		t.Error(err)
	}
	spelled := `{ "theme":"dark", "name": "user-00000007", "locale": "en-GB", "cart": "` + filler +
		`"}`
	if err := Check(7, []byte(spelled)); err != nil {
		t.Errorf("another spelling of the same payload: %v", err)
	}
	changed, _ := json.Marshal(map[string]string{"name": Name(7)})
	for name, loaded := range map[string][]byte{
		"nothing": nil, "an empty object": []byte("{}"), "another row": Payload(8),
		"part of it": changed, "no JSON": []byte("user-00000007"),
	} {
		if Check(7, loaded) == nil {
			t.Errorf("%s passed for the payload", name)
		}
	}
}

func TestTokensAreOfTheFormOfSCS(t *testing.T) {
	if n := len(Token(1)); n != 43 {
		t.Errorf("a token has %d characters", n)
	}
	if Token(1) == Token(2) {
		t.Error("two rows have one token")
	}
}
