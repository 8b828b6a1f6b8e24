// SPDX-License-Identifier: Apache-2.0

package censor_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/censor"
	"github.com/hexiao-dev/hexiao/connector/redact"
)

const value = `s3cr3t/"val'ue+&<canary>`

func learn(values ...string) *censor.Censor {
	c := censor.New("brands")
	for _, v := range values {
		c.Learn([]byte(v))
	}
	return c
}

func TestALearntValueIsMaskedInWhicheverFormItStands(t *testing.T) {
	inJSON, _ := json.Marshal(map[string]string{"x": value})
	twice, _ := json.Marshal(string(inJSON))
	inYAML, _ := yaml.Marshal(map[string]string{"x": value})
	forms := map[string]string{
		"as it is":                     "a " + value + " b",
		"within a word":                "x" + value + "x",
		"in base64":                    base64.StdEncoding.EncodeToString([]byte(value)),
		"in base64 without padding":    base64.RawStdEncoding.EncodeToString([]byte(value)),
		"in base64 for URLs":           base64.URLEncoding.EncodeToString([]byte(value)),
		"in base64, one byte before":   base64.StdEncoding.EncodeToString([]byte("x" + value + "yz")),
		"in base64, two bytes before":  base64.StdEncoding.EncodeToString([]byte("xx" + value + "\n")),
		"in base64 of a whole object":  base64.StdEncoding.EncodeToString([]byte(`{"user":"u","key":"` + value + `"}`)),
		"in hexadecimal":               hex.EncodeToString([]byte(value)),
		"in JSON":                      string(inJSON),
		"in JSON in a string of JSON":  string(twice),
		"in YAML":                      string(inYAML),
		"in a query":                   "https://x/?k=" + url.QueryEscape(value),
		"in a path":                    "https://x/" + url.PathEscape(value),
		"as Go prints it":              fmt.Sprintf("%q", value),
		"twice, one after the other":   value + value,
		"where nothing else stands":    value,
		"with a line end in the value": value + "\n",
	}
	core := strings.Trim(base64.RawStdEncoding.EncodeToString([]byte(value)), "=")
	for name, text := range forms {
		t.Run(name, func(t *testing.T) {
			c := learn(value + "\n")
			got := c.Text(text)
			for _, left := range []string{value, "canary", core[4:20], hex.EncodeToString([]byte("canary")), url.QueryEscape(value)} {
				if strings.Contains(got, left) {
					t.Errorf("%q stays of %q: %q", left, text, got)
				}
			}
			if !strings.Contains(got, redact.Mask) || c.Masked == 0 {
				t.Errorf("%q became %q (%d)", text, got, c.Masked)
			}
		})
	}
}

func TestPartsOfASecretAreSecrets(t *testing.T) {
	for name, tt := range map[string]struct{ secret, text string }{
		"the password of a DSN":            {"postgres://hexiao:p4ss%2Fw0rd@db:5432/ledger?sslmode=require", "connect as hexiao with p4ss/w0rd"},
		"the same, as it stands there":     {"postgres://hexiao:p4ss%2Fw0rd@db:5432/ledger?sslmode=require", "connect as hexiao with p4ss%2Fw0rd"},
		"the password of pairs":            {"host=db user=hexiao password='p4ss w\\'rd' dbname=l", "tried p4ss w'rd"},
		"pairs without quotes":             {"host=db password=p4ssw0rd", "tried p4ssw0rd"},
		"a parameter of the DSN":           {"postgres://db/l?password=p4ssw0rd", "tried p4ssw0rd"},
		"a string of JSON":                 {`{"auths":{"r":{"username":"u","password":"p4ssw0rd"}}}`, "tried p4ssw0rd"},
		"what JSON holds in base64":        {`{"auths":{"r":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("u:p4ssw0rd")) + `"}}}`, "tried p4ssw0rd"},
		"a line of a key":                  {"-----BEGIN K-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END K-----\n", "line MIIEvQIBADANBgkqhkiG9w0B of it"},
		"a short one where it is alone":    {"4711a", "the pin is 4711a."},
		"a short one, in base64 and alone": {"4711a", "the pin is " + base64.StdEncoding.EncodeToString([]byte("4711a"))},
	} {
		t.Run(name, func(t *testing.T) {
			got := learn(tt.secret).Text(tt.text)
			if !strings.Contains(got, redact.Mask) || strings.Contains(got, "p4ss") {
				t.Errorf("%q", got)
			}
		})
	}
	for name, tt := range map[string]struct{ secret, text string }{
		"too short to be told from others": {"on", "turned on"},
		"a short one within a word":        {"4711a", "order 94711a5"},
		"the name of the namespace":        {"brands", "in brands"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := learn(tt.secret).Text(tt.text); got != tt.text {
				t.Errorf("%q", got)
			}
		})
	}
	if censor.New().Learn([]byte("on\n")) {
		t.Error("it says that it looks for what it does not look for")
	}
}

func TestOfValuesThatOverlapEverythingIsMasked(t *testing.T) {
	for name, tt := range map[string]struct {
		secrets []string
		text    string
	}{
		"one within another":        {[]string{"longer-12345678-xyz", "12345678"}, "a longer-12345678-xyz b"},
		"one reaches into the next": {[]string{"abcdefghij", "ghijklmnop"}, "a abcdefghijklmnop b"},
		"one begins as another":     {[]string{"abcdefgh", "abcdefghijklmnop"}, "a abcdefghijklmnop b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := learn(tt.secrets...).Text(tt.text), "a "+redact.Mask+" b"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestWhatLooksLikeASecretIsMasked(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"an Authorization header":         {`Authorization: Bearer abc.def-123`, `Authorization: [redacted]`},
		"the same in JSON":                {`{"authorization":"Basic dXNlcjpwYXNz","a":1}`, `{"authorization":"[redacted]","a":1}`},
		"the same as Go prints headers":   {`map[Authorization:[Bearer abcdefgh] Accept:[x]]`, `map[Authorization:[redacted]] Accept:[x]]`},
		"a token on its own":              {`sent bearer abcdefghijkl now`, `sent bearer [redacted] now`},
		"a cookie":                        {`Set-Cookie: sid=1; Path=/`, `Set-Cookie: [redacted]`},
		"a JWT":                           {`got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln here`, `got [redacted] here`},
		"a password in a URL":             {`dial postgres://u:pw@db:5432/x`, `dial postgres://[redacted]@db:5432/x`},
		"pairs of a DSN":                  {`host=db password=pw user=u`, `host=db password=[redacted] user=u`},
		"a signature in a URL":            {`GET /x?appKey=1&sign=ABCDEF&v=2`, `GET /x?appKey=[redacted]&sign=[redacted]&v=2`},
		"a field of JSON":                 {`{"bizId":"b1","paymentToken":"x y\"z","n":1}`, `{"bizId":"b1","paymentToken":"[redacted]","n":1}`},
		"a field of JSON in a string":     {`"{\"openKey\":\"abc\",\"n\":1}"`, `"{\"openKey\":\"[redacted]\",\"n\":1}"`},
		"a field of YAML":                 {"token: abc\nname: x", "token: [redacted]\nname: x"},
		"a variable":                      {`PGPASSWORD=abc X_AUTH_TOKEN="a b" A=1`, `PGPASSWORD=[redacted] X_AUTH_TOKEN="[redacted]" A=1`},
		"a name after a name":             {`query="token=abc"`, `query="token=[redacted]"`},
		"a mobile number":                 {`member 13912345678 called`, `member 139****5678 called`},
		"a mobile number in a field":      {`"mobile":"13912345678"`, `"mobile":"[redacted]"`},
		"a name of a person":              {`operatorName=张三 x`, `operatorName=[redacted] x`},
		"a private key":                   {"-----BEGIN RSA PRIVATE KEY-----\nMIIE\nvQ==\n-----END RSA PRIVATE KEY-----\nx", "[redacted]\nx"},
		"a private key in JSON":           {`"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"`, `"[redacted]\n"`},
		"the name of a Secret stays":      {`credentialsSecretRef: {name: xiaowang-zhimai}`, `credentialsSecretRef: {name: xiaowang-zhimai}`},
		"so does that of a volume's":      {"secret:\n  secretName: xiaowang-alsc", "secret:\n  secretName: xiaowang-alsc"},
		"a field that was cut off":        {"{\"token\":\"abc\n{\"b\":1}", "{\"token\":\"[redacted]\"\n{\"b\":1}"},
		"one in a string that was cut":    {`"{\"token\":\"abc`, `"{\"token\":\"[redacted]\"`},
		"a setting stays":                 {`paymentToken: PayPassword`, `paymentToken: PayPassword`},
		"a switch stays":                  {`automountServiceAccountToken: false`, `automountServiceAccountToken: false`},
		"numbers of an order stay":        {`order 2025121000001, bizId 20250001`, `order 2025121000001, bizId 20250001`},
		"what is masked stays as it is":   {`token: '[redacted]'`, `token: '[redacted]'`},
		"a time stays, whatever it's for": {`time=2026-03-01T12:00:00Z level=INFO`, `time=2026-03-01T12:00:00Z level=INFO`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := censor.New()
			got := c.Text(tt.in)
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if again := c.Text(got); again != got {
				t.Errorf("a second look changes %q to %q", got, again)
			}
		})
	}
}

func TestAnObjectIsMaskedByItsStructure(t *testing.T) {
	text := `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: xiaowang
  managedFields: [{manager: hexiao}]
  annotations:
    example.com/api-token: canary-1
    kubectl.kubernetes.io/last-applied-configuration: |
      {"kind":"Secret","apiVersion":"v1","data":{"k":"canary-2"},"spec":{"env":[{"name":"A","value":"canary-3"}],"n":12345678901234567890}}
spec:
  patch:
    spec: {template: {spec: {containers: [{name: connector, env: [{name: HTTP_PROXY, value: canary-4}, {name: GOMEMLIMIT, value: "100"}, {name: P, valueFrom: {secretKeyRef: {name: s, key: token}}}]}]}}}
  env: {A: canary-5}
  args: ["--password=canary-6", "--token", "x"]
  files:
    brand.yaml: |
      token: canary-7
      env:
      - {name: B, value: canary-8}
      n: 1
  replicas: 2
  enabled: true
`
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	c := censor.New()
	c.Object(object)
	out, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "canary") || strings.Contains(string(out), "managedFields") {
		t.Errorf("something stays:\n%s", out)
	}
	for _, stays := range []string{"12345678901234567890", "GOMEMLIMIT", `value: "100"`, "key: token", "name: s", "replicas: 2", "enabled: true", "name: HTTP_PROXY"} {
		if !strings.Contains(string(out), stays) {
			t.Errorf("%q is gone:\n%s", stays, out)
		}
	}
}

func TestNoFormOfAValueSurvivesWhateverStandsAround(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[A-Za-z0-9+/=_.!"'\\&<> -]{8,40}`), 1, 4).Draw(t, "secrets")
		c := censor.New()
		encode := []func(string) string{
			func(s string) string { return s },
			func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
			func(s string) string { return hex.EncodeToString([]byte(s)) },
			url.QueryEscape,
			func(s string) string { raw, _ := json.Marshal(s); return string(raw) },
		}
		for _, s := range secrets {
			c.Learn([]byte(s))
		}
		var text strings.Builder
		for range rapid.IntRange(1, 6).Draw(t, "pieces") {
			text.WriteString(rapid.StringMatching(`[a-z{}":, \n]{0,12}`).Draw(t, "noise"))
			s := rapid.SampledFrom(secrets).Draw(t, "secret")
			before := rapid.StringMatching(`[a-z]{0,3}`).Draw(t, "before")
			if rapid.Bool().Draw(t, "within base64") {
				text.WriteString(base64.StdEncoding.EncodeToString([]byte(before + s + before)))
				continue
			}
			text.WriteString(rapid.SampledFrom(encode).Draw(t, "encode")(s))
		}
		got := c.Text(text.String())
		for _, s := range secrets {
			for i, e := range encode {
				if form := strings.Trim(e(s), `"`); len(form) >= 8 && strings.Contains(got, form) {
					t.Fatalf("form %d of %q stays in %q", i, s, got)
				}
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add(`{"token":"abc","a":"\"b","c":1}`)
	f.Add("a=b=c&password='x y' -----BEGIN PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, text string) {
		c := censor.New()
		c.Learn([]byte("fuzzed-secret"))
		got := c.Text(text + " fuzzed-secret")
		if strings.Contains(got, "fuzzed-secret") {
			t.Errorf("%q", got)
		}
	})
}
