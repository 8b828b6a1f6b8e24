// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

func TestACredentialIsReadOrRefusedAndNeverQuoted(t *testing.T) {
	const canary = "cAnArY"
	tests := map[string]struct {
		raw        string
		want, fail string // fail: what the refusal says
		dsn        string // what it is as a DSN; "" when it is refused as one
	}{
		"as it was issued":                  {raw: canary + "-7857ca18", want: canary + "-7857ca18", dsn: canary + "-7857ca18"},
		"the line end of a file":            {raw: canary + "\n", want: canary, dsn: canary},
		"the line end of a Windows file":    {raw: canary + "\r\n", want: canary, dsn: canary},
		"several empty lines at the end":    {raw: canary + "\n\n", want: canary, dsn: canary},
		"base64 and its padding":            {raw: "a+b/c==", want: "a+b/c==", dsn: "a+b/c=="},
		"nothing":                           {raw: "", fail: "is empty"},
		"a line end alone":                  {raw: "\n", fail: "is empty"},
		"a blank alone":                     {raw: " ", fail: "blanks"},
		"a blank in front":                  {raw: " " + canary, fail: "blanks"},
		"a blank behind":                    {raw: canary + " \n", fail: "blanks"},
		"a tab inside":                      {raw: canary + "\t" + canary, fail: "blanks"},
		"a line break inside":               {raw: canary + "\n" + canary, fail: "line breaks"},
		"a carriage return inside":          {raw: canary + "\r" + canary, fail: "line breaks"},
		"a zero byte":                       {raw: canary + "\x00", fail: "control"},
		"a no-break space":                  {raw: canary + "\u00a0", fail: "blanks"},
		"an ideographic space":              {raw: canary + "\u3000", fail: "blanks"},
		"a byte order mark":                 {raw: "\ufeff" + canary, fail: "not printable ASCII"},
		"a zero-width space":                {raw: canary + "\u200b", fail: "not printable ASCII"},
		"bytes that are no text":            {raw: canary + "\xff\xfe", fail: "not printable ASCII"},
		"full-width letters":                {raw: canary + "ＡＢ", fail: "not printable ASCII", dsn: canary + "ＡＢ"},
		"as long as one may be":             {raw: strings.Repeat("x", 4096), want: strings.Repeat("x", 4096), dsn: strings.Repeat("x", 4096)},
		"a file that is something else":     {raw: strings.Repeat(canary, 1000), fail: "6000 bytes"},
		"a DSN's password with an umlaut":   {raw: "postgres://u:pä@h/d", fail: "not printable ASCII", dsn: "postgres://u:pä@h/d"},
		"a DSN of words, which has blanks":  {raw: "host=h user=u", fail: "blanks"},
		"a DSN that holds an invisible one": {raw: "postgres://u:p\u200b@h/d", fail: "not printable ASCII"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := v1alpha1.ReadCredential([]byte(tc.raw))
			judge(t, "as a credential", got, err, tc.want, tc.fail)
			fail := tc.fail
			if tc.dsn != "" {
				fail = ""
			}
			got, err = v1alpha1.ReadDSN([]byte(tc.raw))
			judge(t, "as a DSN", got, err, tc.dsn, fail)
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the refusal quotes the value: %v", err)
			}
		})
	}
	if _, err := v1alpha1.ReadCredential(nil); !errors.Is(err, v1alpha1.ErrEmptyCredential) {
		t.Errorf("no bytes: %v, want ErrEmptyCredential", err)
	}
}

func judge(t *testing.T, as, got string, err error, want, fail string) {
	t.Helper()
	if fail == "" {
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", as, got, err, want)
		}
		return
	}
	if got != "" || err == nil || !strings.Contains(err.Error(), fail) {
		t.Errorf("%s: %q, %v; want a refusal that says %q", as, got, err, fail)
	}
}

func FuzzReadCredential(f *testing.F) {
	for _, seed := range []string{"", "\n", "key\r\n", " key", "ke\ny", "\ufeffkey", "postgres://u:p@h/d", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, read := range []func([]byte) (string, error){v1alpha1.ReadCredential, v1alpha1.ReadDSN} {
			value, err := read(raw)
			if (err == nil) == (value == "") {
				t.Fatalf("%q and %v: want a value or a refusal", value, err)
			}
			if err != nil {
				continue
			}
			if strings.ContainsAny(value, " \t\r\n\x00") || !strings.HasPrefix(string(raw), value) {
				t.Fatalf("%q is read as %q", raw, value)
			}
			again, err := read([]byte(value + "\r\n"))
			if err != nil || again != value {
				t.Fatalf("with a line end %q is read as %q, %v", value, again, err)
			}
		}
	})
}
