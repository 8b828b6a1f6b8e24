// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestTokenIsTheVendorsExample(t *testing.T) {
	if got, want := Token(credentials, LowerCamel, "1465185768", "11886"), "cFw0t9IuvL9jVo9qAzk0qMcw5BM%3D"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheSpellingOfTheKeysIsSigned(t *testing.T) {
	if Token(credentials, LowerCamel, "1", "2") == Token(credentials, Capitalized, "1", "2") {
		t.Error("both spellings give one token")
	}
}

func TestEachSignedFieldChangesTheToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Za-z0-9]{1,40}`)
		c := Credentials{OpenID: text.Draw(t, "openId"), OpenKey: text.Draw(t, "openKey"), GrantCode: text.Draw(t, "grantCode")}
		timestamp, nonce := fmt.Sprint(rapid.Int64Min(1).Draw(t, "timestamp")), fmt.Sprint(rapid.Int64Min(1).Draw(t, "nonce"))
		keys := rapid.SampledFrom([]Keys{LowerCamel, Capitalized}).Draw(t, "keys")
		token := Token(c, keys, timestamp, nonce)
		if Token(c, keys, timestamp, nonce) != token {
			t.Fatal("not a function of its input")
		}
		for name, other := range map[string]string{
			"openId":    Token(Credentials{c.OpenID + "x", c.OpenKey, c.GrantCode}, keys, timestamp, nonce),
			"openKey":   Token(Credentials{c.OpenID, c.OpenKey + "x", c.GrantCode}, keys, timestamp, nonce),
			"grantCode": Token(Credentials{c.OpenID, c.OpenKey, c.GrantCode + "x"}, keys, timestamp, nonce),
			"timestamp": Token(c, keys, timestamp+"1", nonce),
			"nonce":     Token(c, keys, timestamp, nonce+"1"),
		} {
			if other == token {
				t.Fatalf("another %s gives the same token", name)
			}
		}
	})
}
