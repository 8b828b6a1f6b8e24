// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redact"
)

// carrier holds the values in each place where a printer treats them differently.
type carrier struct {
	Secret    redact.Secret
	Personal  redact.Personal
	Pointer   *redact.Secret
	Slice     []redact.Personal
	Map       map[string]redact.Secret
	Any       any
	secret    redact.Secret
	personal  redact.Personal
	pointer   *redact.Personal
	nestedAny any
}

func newCarrier(text string) carrier {
	s, p := redact.NewSecret(text), redact.NewPersonal(text)
	return carrier{
		Secret: s, Personal: p, Pointer: &s, Slice: []redact.Personal{p},
		Map: map[string]redact.Secret{"key": s}, Any: p,
		secret: s, personal: p, pointer: &p, nestedAny: s,
	}
}

// secretText draws text that cannot occur by accident in what surrounds it.
var secretText = rapid.Custom(func(t *rapid.T) string {
	return "§" + rapid.StringMatching(`[0-9a-zA-Z一-龥]{8,24}`).Draw(t, "text")
})

// leaks says whether the text is in out as it is, in hex, or as the bytes' decimal numbers.
func leaks(out, text string) bool {
	decimal := strings.Trim(fmt.Sprintf("%d", []byte(text)), "[]")
	lower := strings.ToLower(out)
	return strings.Contains(out, text) || strings.Contains(out, decimal) ||
		strings.Contains(lower, fmt.Sprintf("%x", text)) || strings.Contains(lower, fmt.Sprintf("% x", text)) ||
		strings.Contains(out, strings.Trim(fmt.Sprintf("%+q", text), `"`))
}

func TestNoFormattingVerbPrintsTheText(t *testing.T) {
	const verbs = "vTtbcdoOqxXUeEfFgGspw"
	flags := []string{"", "+", "#", "-", " ", "0", "+#", "# ", "20", "-20", ".3", "40.20"}
	rapid.Check(t, func(t *rapid.T) {
		text := secretText.Draw(t, "secret")
		c := newCarrier(text)
		flag := rapid.SampledFrom(flags).Draw(t, "flag")
		for _, verb := range verbs {
			format := "%" + flag + string(verb)
			for _, value := range []any{c, &c, []carrier{c}, c.Secret, c.Personal, &c.Secret, c.Any, []any{c.Secret}, map[string]any{"k": c}} {
				if out := fmt.Sprintf(format, value); leaks(out, text) {
					t.Fatalf("Sprintf(%q, %T) = %q, it holds the text", format, value, out)
				}
			}
		}
		if out := fmt.Sprint(c, c.Secret) + fmt.Sprintln(&c, c.Personal); leaks(out, text) {
			t.Fatalf("Sprint = %q, it holds the text", out)
		}
		if out := fmt.Errorf("call vendor: %w", fmt.Errorf("token %v of %+v", c.Secret, c)).Error(); leaks(out, text) {
			t.Fatalf("Errorf = %q, it holds the text", out)
		}
	})
}

func TestNoEncoderWritesTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := secretText.Draw(t, "secret")
		c := newCarrier(text)
		type exported struct {
			Secret   redact.Secret
			Personal redact.Personal `xml:",attr"`
			Optional redact.Secret   `json:",omitzero"`
		}
		asJSON, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		asXML, err := xml.Marshal(exported{Secret: c.Secret, Personal: c.Personal})
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{string(asJSON), string(asXML)} {
			if leaks(out, text) || !strings.Contains(out, redact.Mask) {
				t.Fatalf("encoded as %s, want the mask and not the text", out)
			}
		}
	})
}

func TestNoLogHandlerWritesTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := secretText.Draw(t, "secret")
		c := newCarrier(text)
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			log := slog.New(handler).With("secret", c.Secret).WithGroup("member").With("mobile", c.Personal)
			log.Info("call", "carrier", c, "pointer", &c, "secret", c.Secret, "any", slog.AnyValue(c.Any),
				slog.Group("deep", "personal", c.Personal, "list", c.Slice), "err", fmt.Errorf("bad %v", c))
		}
		if leaks(out.String(), text) {
			t.Fatalf("logged %s, it holds the text", out.String())
		}
	})
}

func TestTheTextComesBackByReveal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, other := rapid.String().Draw(t, "text"), rapid.String().Draw(t, "other")
		if got := redact.NewSecret(text).Reveal(); got != text {
			t.Fatalf("Reveal() = %q, want %q", got, text)
		}
		encoded, err := json.Marshal(map[string]string{"Mobile": text})
		if err != nil {
			t.Fatal(err)
		}
		var decoded struct{ Mobile redact.Personal }
		if err := json.Unmarshal(encoded, &decoded); err != nil {
			t.Fatal(err)
		}
		if got, want := decoded.Mobile.Reveal(), strings.ToValidUTF8(text, "\uFFFD"); got != want && len(want) == len(text) {
			t.Fatalf("decoded %q, want %q", got, want)
		}
		if got := redact.NewSecret(text).Equal(redact.NewSecret(other)); got != (text == other) {
			t.Fatalf("Equal(%q, %q) = %v", text, other, got)
		}
		if !cmp.Equal(redact.NewPersonal(text), redact.NewPersonal(text)) {
			t.Fatal("cmp.Equal says that the same text differs")
		}
		if got := redact.NewSecret(text).IsZero(); got != (text == "") {
			t.Fatalf("IsZero of %q = %v", text, got)
		}
	})
}

func TestDecodingErrorsDoNotQuoteTheInput(t *testing.T) {
	for name, input := range map[string]string{
		"a number":      `{"Secret": 13812345678}`,
		"an object":     `{"Secret": {"a": "13812345678"}}`,
		"a list":        `{"Secret": ["13812345678"]}`,
		"a broken text": `{"Secret": 13812345678`,
	} {
		t.Run(name, func(t *testing.T) {
			var got struct{ Secret redact.Secret }
			err := json.Unmarshal([]byte(input), &got)
			if err == nil {
				t.Fatal("decoded, want an error")
			}
			if strings.Contains(errors.Join(err).Error(), "138") {
				t.Fatalf("error %q quotes the input", err)
			}
		})
	}
}

func FuzzUnmarshalJSON(f *testing.F) {
	for _, seed := range []string{`"13812345678"`, `null`, `1`, `"\ud800"`, `{}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want string
		wantErr := json.Unmarshal(data, &want) != nil
		var got redact.Secret
		err := json.Unmarshal(data, &got)
		if (err != nil) != wantErr || (err == nil && got.Reveal() != want) {
			t.Fatalf("Unmarshal(%q) = %q, %v; want %q, error %v", data, got.Reveal(), err, want, wantErr)
		}
	})
}
