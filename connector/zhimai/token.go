// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/url"
)

// Keys is how the names in the signed text are written.
type Keys string

const (
	// LowerCamel: grantCode, nonce, openId, timestamp, as in the vendor's published
	// example. The default.
	LowerCamel Keys = "LowerCamel"
	// Capitalized: GrantCode, Nonce, OpenId, Timestamp, as V2 writes the fields of
	// its body.
	Capitalized Keys = "Capitalized"
)

// Token signs a V2 call: HMAC-SHA1 with the openKey over the four fields in the order
// of their names, as base64, URL-encoded; the JSON field carries the encoded text. Action
// and Params are not signed.
func Token(c Credentials, keys Keys, timestamp, nonce string) string {
	names := [4]string{"grantCode", "nonce", "openId", "timestamp"}
	if keys == Capitalized {
		names = [4]string{"GrantCode", "Nonce", "OpenId", "Timestamp"}
	}
	text := names[0] + "=" + c.GrantCode + "&" + names[1] + "=" + nonce +
		"&" + names[2] + "=" + c.OpenID + "&" + names[3] + "=" + timestamp
	mac := hmac.New(sha1.New, []byte(c.OpenKey))
	mac.Write([]byte(text))
	return url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
