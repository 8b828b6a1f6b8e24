// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"net/url"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

func TestAnOpenThatFailedIsRepeatedOnlyWhenThatMayHelp(t *testing.T) {
	const canary = "cAnArY"
	good, err := url.Parse(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	server := func(change func(*url.URL)) string {
		u := *good
		change(&u)
		return u.String()
	}
	nobody := oneshottest.Nobody(t)
	tests := map[string]struct {
		config  Config
		passing bool
		says    string
	}{
		"a server that does not listen yet": {Config{DSN: "postgres://u:" + canary + "@" + nobody + "/l"}, true, "connection refused"},
		"a name that nobody knows yet":      {Config{DSN: "postgres://u:" + canary + "@nobody.invalid/l"}, true, "nobody.invalid"},
		"a database that is not there":      {Config{DSN: server(func(u *url.URL) { u.Path = "/not_there" })}, false, "not_there"},
		"a user who is not there":           {Config{DSN: server(func(u *url.URL) { u.User = url.UserPassword("not_there", canary) })}, false, "not_there"},
		"a text that is no DSN":             {Config{DSN: canary}, false, "postgres://USER:PASSWORD@HOST"},
		"a URL of something else":           {Config{DSN: "mysql://u:" + canary + "@h/d"}, false, "postgres://USER:PASSWORD@HOST"},
		"a URL with a broken password":      {Config{DSN: "postgres://u:" + canary + "%zz@h/d"}, false, "parse the DSN"},
		"a URL whose password has a slash":  {Config{DSN: "postgres://u:" + canary + "/" + canary + "@h/d"}, false, "parse the DSN"},
		"a URL with an unknown sslmode":     {Config{DSN: "postgres://u:" + canary + "@h/d?sslmode=x"}, false, "sslmode"},
		"a schema that is no name":          {Config{DSN: good.String(), Schema: "No Name"}, false, "schema"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l, err := Open(t.Context(), tc.config)
			if err == nil {
				_ = l.Close()
				t.Fatal("it was opened")
			}
			if Passing(err) != tc.passing {
				t.Errorf("passing is %v, want %v: %v", !tc.passing, tc.passing, err)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the error does not say %q: %v", tc.says, err)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error quotes the password: %v", err)
			}
		})
	}
}
