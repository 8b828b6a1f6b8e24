// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

func TestTheOperatorTakesTheCredentialsThatTheConnectorTakes(t *testing.T) {
	const canary = "cAnArY"
	key := render.Need{Source: render.SourceSecret, Name: "kry", Key: "token", Field: "spec.keruyun.credentialsSecretRef"}
	optional, dsn := key, key
	optional.Optional, dsn.DSN = true, true
	shops := render.Need{Source: render.SourceConfigMap, Name: "shops", Key: "shops.yaml", Field: "spec.shopsConfigMapRef"}
	tests := map[string]struct {
		need render.Need
		data map[string]string // nil: the key is not there
		want string            // the reason; "" when it is taken
		says []string
	}{
		"a key as it was issued":              {need: key, data: map[string]string{"token": canary}},
		"a key with the line end of a file":   {need: key, data: map[string]string{"token": canary + "\r\n"}},
		"no key":                              {need: key, want: v1alpha1.ReasonSecretKeyMissing, says: []string{"no key token"}},
		"an empty key":                        {need: key, data: map[string]string{"token": ""}, want: v1alpha1.ReasonSecretKeyInvalid, says: []string{"its key token is empty"}},
		"a key of line ends":                  {need: key, data: map[string]string{"token": "\n"}, want: v1alpha1.ReasonSecretKeyInvalid, says: []string{"its key token is empty"}},
		"a key with a blank":                  {need: key, data: map[string]string{"token": canary + " "}, want: v1alpha1.ReasonSecretKeyInvalid, says: []string{"its key token holds blanks"}},
		"a key with two lines":                {need: key, data: map[string]string{"token": canary + "\n" + canary}, want: v1alpha1.ReasonSecretKeyInvalid, says: []string{"line breaks"}},
		"a key with an invisible mark":        {need: key, data: map[string]string{"token": canary + "\u200b"}, want: v1alpha1.ReasonSecretKeyInvalid, says: []string{"not printable ASCII"}},
		"an optional key that is not there":   {need: optional},
		"an optional key that is empty":       {need: optional, data: map[string]string{"token": "\n"}},
		"an optional key that is garbage":     {need: optional, data: map[string]string{"token": canary + " " + canary}, want: v1alpha1.ReasonSecretKeyInvalid, says: []string{"blanks"}},
		"a DSN whose password has an umlaut":  {need: dsn, data: map[string]string{"token": "postgres://u:ä@h/d"}},
		"a DSN with a blank":                  {need: dsn, data: map[string]string{"token": "host=h password=" + canary}, want: v1alpha1.ReasonSecretKeyInvalid, says: []string{"blanks"}},
		"a shop table":                        {need: shops, data: map[string]string{"shops.yaml": "- {kryShopID: \"1\", zhimai: {multiMark: A}}\n"}},
		"a shop table with an unknown column": {need: shops, data: map[string]string{"shops.yaml": "- {shop: 1}\n"}, want: v1alpha1.ReasonConfigMapInvalid, says: []string{"no list of shops"}},
		"no shop table":                       {need: shops, want: v1alpha1.ReasonConfigMapKeyMissing, says: []string{"no key shops.yaml"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for k, v := range tc.data {
				data[k] = []byte(v)
			}
			_, f := check(tc.need, data)
			if f == nil {
				f = &fault{}
			}
			if diff := cmp.Diff(tc.want, f.reason); diff != "" {
				t.Fatalf("reason (-want +got):\n%s\n%s", diff, f.message)
			}
			for _, want := range append(tc.says, namesOf(tc.need, tc.want)...) {
				if !strings.Contains(f.message, want) {
					t.Errorf("the message %q does not say %q", f.message, want)
				}
			}
			if strings.Contains(f.message, canary) {
				t.Errorf("the message quotes the value: %q", f.message)
			}
		})
	}
}

func namesOf(need render.Need, reason string) []string {
	if reason == "" {
		return nil
	}
	return []string{string(need.Source) + " " + need.Name, need.Field, need.Key}
}
