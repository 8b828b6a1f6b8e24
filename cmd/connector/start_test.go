// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

const canary = "cAnArY"

// lay writes a brand's files, some of them spoiled.
func lay(t *testing.T, ledger string, spoil map[string]string) (args []string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"brand.yaml": objectText + ledger + "\n", "credentials/kry/appKey": "k", "credentials/kry/token": "t\n",
		"credentials/alsc/appKey": "1", "credentials/alsc/appSecret": "s", "credentials/pg/dsn": "postgres://u:p@127.0.0.1:1/l",
	}
	for name, text := range spoil {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--config", filepath.Join(dir, "brand.yaml"), "--credentials-dir", filepath.Join(dir, "credentials")}
}

// lastWordsOf serves until that ends by itself, and returns what Kubernetes is told.
func lastWordsOf(t *testing.T, args ...string) (words, log string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(path, []byte("what an earlier one left"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := command(&out, &out)
	cmd.SetArgs(append([]string{"serve"}, args...))
	err := cmd.ExecuteContext(t.Context())
	if err == nil {
		t.Fatal("it ended without an error")
	}
	lastWords(path, err)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), out.String()
}

const embedded, postgres = `{embedded: {size: 1Gi}}`, `{postgres: {dsnSecretRef: {name: pg, key: dsn}}}`

// A connector whose credentials are no credentials ends before it listens to anybody, so
// no probe ever finds it ready: its addresses are taken here, and it does not notice.
func TestWithoutUsableCredentialsNothingIsServed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	addresses := []string{"--listen", taken.Addr().String(), "--admin-listen", taken.Addr().String()}
	for _, path := range []string{"kry/appKey", "kry/token", "alsc/appKey", "alsc/appSecret", "alsc/session", "pg/dsn"} {
		secret, key, _ := strings.Cut(path, "/")
		for how, value := range map[string]string{
			"a blank inside": canary + " " + canary, "two lines": canary + "\n" + canary, "an invisible mark": canary + "\u200b", "nothing": "\n",
		} {
			if path == "alsc/session" && how == "nothing" {
				continue // it is optional
			}
			t.Run(path+" with "+how, func(t *testing.T) {
				words, log := lastWordsOf(t, append(lay(t, postgres, map[string]string{"credentials/" + path: value}), addresses...)...)
				for _, want := range []string{"Secret " + secret, "key " + key} {
					if !strings.Contains(words, want) {
						t.Errorf("the last words do not say %q: %s", want, words)
					}
				}
				if strings.Contains(words+log, canary) {
					t.Errorf("the value is quoted: %s\n%s", words, log)
				}
				if strings.Contains(log, `"ready"`) {
					t.Errorf("it said that it is ready:\n%s", log)
				}
			})
		}
	}
	t.Run("with usable ones it does notice", func(t *testing.T) {
		if words, _ := lastWordsOf(t, append(lay(t, postgres, nil), addresses...)...); !strings.Contains(words, "address already in use") {
			t.Errorf("the last words are: %s", words)
		}
	})
}

func TestAFlagAtFaultIsToldBeforeTheFilesAreRead(t *testing.T) {
	nowhere := []string{"--config", "/none/brand.yaml", "--credentials-dir", "/none"}
	for name, tc := range map[string]struct {
		args []string
		want []string
	}{
		"a log level there is not":     {[]string{"--log-level", "loud"}, []string{`--log-level "loud": use debug, info, warn or error`}},
		"an address without a port":    {[]string{"--listen", "localhost"}, []string{`--listen "localhost": use HOST:PORT`}},
		"a delay that is negative":     {[]string{"--drain-delay", "-3s"}, []string{"--drain-delay -3s: must not be negative"}},
		"several are told at once":     {[]string{"--log-level", "loud", "--admin-listen", "x", "--drain-timeout", "-1s"}, []string{"--log-level", "--admin-listen", "--drain-timeout"}},
		"none: the files are at fault": {nil, []string{"read the BrandConnector"}},
	} {
		t.Run(name, func(t *testing.T) {
			words, _ := lastWordsOf(t, append(tc.args, nowhere...)...)
			for _, want := range tc.want {
				if !strings.Contains(words, want) {
					t.Errorf("want %q: %s", want, words)
				}
			}
			if tc.args != nil && strings.Contains(words, "/none") {
				t.Errorf("the files were read: %s", words)
			}
		})
	}
}

func TestWhatKubernetesIsToldWhenALedgerIsNotOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	free := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}
	tests := map[string]struct {
		args []string
		want string
	}{
		"a path that is no directory": {append(lay(t, embedded, nil), "--ledger-path", file+"/ledger.db"), "not a directory"},
		"a Secret with another text than a DSN": {
			lay(t, postgres, map[string]string{"credentials/pg/dsn": "mysql://u:" + canary + "@h/d"}), v1alpha1.ExampleDSN},
		"a DSN whose password is not encoded": {
			lay(t, postgres, map[string]string{"credentials/pg/dsn": "postgres://u:" + canary + "/" + canary + "@h/d"}), "parse the DSN"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			words, log := lastWordsOf(t, append(tc.args, free...)...)
			if !strings.HasPrefix(words, v1alpha1.LedgerFault) || !strings.Contains(words, tc.want) {
				t.Errorf("the last words are not %q and %q: %s", v1alpha1.LedgerFault, tc.want, words)
			}
			if strings.Count(words, "\n") != 1 || !strings.HasSuffix(words, "\n") {
				t.Errorf("the last words are not one line: %q", words)
			}
			if strings.Contains(words+log, canary) {
				t.Errorf("a password is quoted: %s\n%s", words, log)
			}
		})
	}
}

func TestLastWordsAreShortAndOnlyWhereTheyAreAskedFor(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "termination-log")
	lastWords(path, errors.New("no container"))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("outside a container it made %v (%v)", entries, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"none":            {nil, ""},
		"several":         {errors.Join(errors.New("first"), errors.New("second")), "first; second\n"},
		"as a driver has": {errors.New("failed to connect to `user=u`:\n\t10.0.0.1:5432: refused\n\t10.0.0.2:5432: refused"), "failed to connect to `user=u`: 10.0.0.1:5432: refused; 10.0.0.2:5432: refused\n"},
		"a long one":      {errors.New(strings.Repeat("员", 2000)), strings.Repeat("员", 1365) + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			lastWords(path, tc.err)
			got, err := os.ReadFile(path)
			if err != nil || string(got) != tc.want {
				t.Errorf("got %q (%v), want %q", got, err, tc.want)
			}
		})
	}
}
