// SPDX-License-Identifier: Apache-2.0

package brand

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

const object = `
apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: xiaowang}
spec:
  brandID: "11342"
  keruyun: {credentialsSecretRef: {name: kry}}
  providers:
    zhimai: {credentialsSecretRef: {name: zm}}
    alsc: {credentialsSecretRef: {name: al}}
  routes:
  - {name: balance, match: {assetMappingIDs: ["100001"]}, asset: StoredValue, provider: alsc}
  shops:
  - {kryShopID: "8066287", zhimai: {multiMark: S001}, alsc: {shopID: "73527452"}}
  ledger: {postgres: {dsnSecretRef: {name: ledger, key: dsn}}}
`

// credentials are the files of a complete set.
var credentials = map[string]string{
	"kry/appKey": "app", "kry/token": "tok\n",
	"zm/openId": "id", "zm/openKey": "key", "zm/grantCode": "grant",
	"al/appKey": "app2", "al/appSecret": "secret2",
	"ledger/dsn": "postgres://u:p@127.0.0.1/db",
}

// lay writes the object and the files and says where they are.
func lay(t *testing.T, object string, change map[string]string) Files {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{}
	for k, v := range credentials {
		files[k] = v
	}
	for k, v := range change {
		files[k] = v
	}
	for k, v := range files {
		if v == "-" {
			continue
		}
		path := filepath.Join(dir, k)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(v), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "brand.yaml")
	if err := os.WriteFile(path, []byte(object), 0o600); err != nil {
		t.Fatal(err)
	}
	return Files{Object: path, Credentials: dir}
}

func TestLoadReadsTheObjectAndItsSecrets(t *testing.T) {
	b, err := Load(lay(t, object, map[string]string{"al/session": "sess"}))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{
		"kry.appKey": b.Keruyun.AppKey, "kry.token": b.Keruyun.Token.Reveal(),
		"zm.openId": b.Zhimai.OpenID, "zm.openKey": b.Zhimai.OpenKey.Reveal(), "zm.grantCode": b.Zhimai.GrantCode.Reveal(),
		"al.appKey": b.Alsc.AppKey, "al.appSecret": b.Alsc.AppSecret.Reveal(), "al.session": b.Alsc.Session.Reveal(),
		"dsn": b.LedgerDSN.Reveal(), "shop": b.Shops["8066287"].Alsc.ShopID,
		"deadline": b.Object.Spec.Keruyun.ReplyDeadline.Duration.String(),
	}
	want := map[string]string{
		"kry.appKey": "app", "kry.token": "tok", "zm.openId": "id", "zm.openKey": "key", "zm.grantCode": "grant",
		"al.appKey": "app2", "al.appSecret": "secret2", "al.session": "sess", "dsn": "postgres://u:p@127.0.0.1/db",
		"shop": "73527452", "deadline": "4s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}

func TestLoadNamesWhatIsWrong(t *testing.T) {
	cases := map[string]struct {
		object string
		change map[string]string
		want   []string
	}{
		"a missing key names the Secret and the key": {
			object, map[string]string{"kry/token": "-"}, []string{"Secret kry needs the key token"}},
		"a ledger that was left to a class is missing": {
			strings.Replace(object, "  ledger: {postgres: {dsnSecretRef: {name: ledger, key: dsn}}}\n", "", 1), nil, []string{"spec.ledger is missing"}},
		"an empty key is a missing one": {
			object, map[string]string{"al/appSecret": "\n"}, []string{"Secret al needs the key appSecret"}},
		"all faults are named at once": {
			object, map[string]string{"zm/openId": "-", "ledger/dsn": "-"}, []string{"Secret zm needs the key openId", "Secret ledger needs the key dsn"}},
		"a key with a blank is refused without being quoted": {
			object, map[string]string{"zm/openKey": "a b"}, []string{"the key openKey of the Secret zm holds blanks"}},
		"an unknown field is named": {
			strings.Replace(object, "brandID:", "brandId:", 1), nil, []string{`unknown field "spec.brandId"`}},
		"text without quotes is named with its remedy": {
			strings.Replace(object, `brandID: "11342"`, "brandID: 11342", 1), nil, []string{"brand.yaml: spec.brandID: 11342 is a number, and text is wanted: put it into quotes"}},
		"a duration without a unit is named with its remedy": {
			strings.Replace(object, "keruyun: {", "keruyun: {replyDeadline: 4, ", 1), nil, []string{"spec.keruyun.replyDeadline: 4 is a number, and a duration is wanted, with its unit: 90s, 5m, 1h30m"}},
		"a DSN in place of the reference to its Secret is refused without being quoted": {
			strings.Replace(object, "{name: ledger, key: dsn}", `"postgres://u:a b@127.0.0.1/db"`, 1), nil, []string{"spec.ledger.postgres.dsnSecretRef: it is text, and an object with fields is wanted"}},
		"another kind is named": {
			strings.Replace(object, "kind: BrandConnector", "kind: Secret", 1), nil, []string{"holds a Secret"}},
		"an invalid field is named": {
			strings.Replace(object, "provider: alsc", "provider: youzan", 1), nil, []string{"spec.routes[0].provider"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Load(lay(t, tc.object, tc.change))
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("want an error that says %q, got: %v", want, err)
				}
			}
			if err != nil && strings.Contains(err.Error(), "Go struct field") {
				t.Errorf("the error speaks of Go: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "a b") {
				t.Errorf("the error quotes the secret: %v", err)
			}
		})
	}
}

func TestLoadReadsAShopTableFromAFile(t *testing.T) {
	withRef := strings.Replace(object, "  shops:\n  - {kryShopID: \"8066287\", zhimai: {multiMark: S001}, alsc: {shopID: \"73527452\"}}\n",
		"  shopsConfigMapRef: {name: shops}\n", 1)
	files := lay(t, withRef, map[string]string{
		"shops.yaml": "- {kryShopID: \"1\", zhimai: {multiMark: A}}\n- {kryShopID: \"2\", alsc: {shopID: B}}\n",
		"bad.yaml":   "- {kryShopID: \"1\"}\n- {kryShopID: \"1\", alsc: {shopID: B}}\n",
	})
	if _, err := Load(files); err == nil || !strings.Contains(err.Error(), "--shops") {
		t.Errorf("without the file: want an error that names --shops, got: %v", err)
	}
	files.Shops = filepath.Join(files.Credentials, "shops.yaml")
	b, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1alpha1.Shop{KryShopID: "1", Zhimai: &v1alpha1.ZhimaiShop{MultiMark: "A"}}, b.Shops["1"]); diff != "" {
		t.Errorf("shop 1 (-want +got):\n%s", diff)
	}
	files.Shops = filepath.Join(files.Credentials, "bad.yaml")
	if _, err := Load(files); err == nil || !strings.Contains(err.Error(), "shops[0]") || !strings.Contains(err.Error(), "Duplicate") {
		t.Errorf("want both faults of the table, got: %v", err)
	}
}

func TestRevisionFollowsTheConfigurationAndNotTheCredentials(t *testing.T) {
	first, err := Load(lay(t, object, nil))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := Load(lay(t, object, map[string]string{"kry/token": "other"}))
	if err != nil {
		t.Fatal(err)
	}
	if first.Revision != rotated.Revision {
		t.Errorf("other credentials changed the revision: %s → %s", first.Revision, rotated.Revision)
	}
	changed, err := Load(lay(t, strings.Replace(object, "S001", "S002", 1), nil))
	if err != nil {
		t.Fatal(err)
	}
	if first.Revision == changed.Revision {
		t.Errorf("another shop left the revision at %s", first.Revision)
	}
}

// required are the keys that a connector does not start without.
func required() []string {
	var keys []string
	for k := range credentials {
		keys = append(keys, k)
	}
	return append(keys, "al/session") // optional, but not to be garbage
}

func TestNoCredentialIsTakenThatCannotBeOne(t *testing.T) {
	const canary = "cAnArY"
	spoiled := map[string]string{
		"a blank inside": canary + " " + canary, "a line break inside": canary + "\n" + canary, "a tab in front": "\t" + canary,
		"an invisible mark": "\ufeff" + canary, "a zero byte": canary + "\x00", "bytes that are no text": canary + "\xff",
	}
	for _, path := range required() {
		secret, key, _ := strings.Cut(path, "/")
		for how, value := range spoiled {
			t.Run(path+" with "+how, func(t *testing.T) {
				b, err := Load(lay(t, object, map[string]string{path: value}))
				if b != nil || err == nil {
					t.Fatal("it was taken")
				}
				if !strings.Contains(err.Error(), "the key "+key+" of the Secret "+secret+" holds") {
					t.Errorf("the error does not name the key: %v", err)
				}
				if strings.Contains(err.Error(), canary) {
					t.Errorf("the error quotes the value: %v", err)
				}
			})
		}
		t.Run(path+" with the line end of a file", func(t *testing.T) {
			if _, err := Load(lay(t, object, map[string]string{path: "value\r\n"})); err != nil {
				t.Errorf("it was refused: %v", err)
			}
		})
		for _, nothing := range []string{"", "\n"} {
			t.Run(fmt.Sprintf("%s with %q", path, nothing), func(t *testing.T) {
				_, err := Load(lay(t, object, map[string]string{path: nothing}))
				if optional := path == "al/session"; (err == nil) != optional {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}
