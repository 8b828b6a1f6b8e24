// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

func TestAShopTableIsReadAsAnAPIServerWouldReadIt(t *testing.T) {
	cases := map[string]struct{ raw, want string }{
		"a list of shops":           {"- {kryShopID: \"1\", zhimai: {multiMark: A}}\n- {kryShopID: \"2\", alsc: {shopID: B}}", ""},
		"a field in another case":   {"- {kryShopId: \"1\", zhimai: {multiMark: A}}", "kryShopId"},
		"a field that is not known": {"- {kryShopID: \"1\", zhimai: {multiMrk: A}}", "multiMrk"},
		"a field twice":             {"- {kryShopID: \"1\", kryShopID: \"2\", zhimai: {multiMark: A}}", "already set"},
		"an id without quotes":      {"- {kryShopID: 1, zhimai: {multiMark: A}}", "[0].kryShopID: 1 is a number, and text is wanted: put it into quotes"},
		"a shop twice":              {"- {kryShopID: \"1\", zhimai: {multiMark: A}}\n- {kryShopID: \"1\", zhimai: {multiMark: B}}", "Duplicate"},
		"a shop without a name":     {"- {kryShopID: \"1\"}", "shops[0]"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := v1alpha1.ParseShops([]byte(tc.raw))
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error that says %q, got: %v", tc.want, err)
			}
		})
	}
}

func FuzzParseShops(f *testing.F) {
	f.Add([]byte("- {kryShopID: \"1\", zhimai: {multiMark: A}}"))
	f.Add([]byte("- kryShopID: 1"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		shops, err := v1alpha1.ParseShops(raw)
		if err != nil {
			return
		}
		for _, s := range shops {
			if s.KryShopID == "" || s.Zhimai == nil && s.Alsc == nil {
				t.Errorf("accepted %+v", s)
			}
		}
	})
}
