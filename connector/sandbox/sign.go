// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strings"
)

// TOPSign signs params as the TOP gateway documents it: name and value of
// every parameter but sign, sorted by name, empty names and values left out;
// method is md5, hmac (HMAC-MD5) or hmac-sha256. Upper-case hexadecimal.
func TOPSign(method, secret string, params map[string]string) (string, error) {
	text := topText(params)
	var h hash.Hash
	switch method {
	case "md5":
		h = md5.New()
		text = secret + text + secret
	case "hmac":
		h = hmac.New(md5.New, []byte(secret))
	case "hmac-sha256":
		h = hmac.New(sha256.New, []byte(secret))
	default:
		return "", fmt.Errorf("sign_method: %q is unknown, use md5, hmac or hmac-sha256", method)
	}
	h.Write([]byte(text))
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil))), nil
}

func topText(params map[string]string) string {
	names := make([]string, 0, len(params))
	for n, v := range params {
		if n != "" && v != "" && n != "sign" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n)
		b.WriteString(params[n])
	}
	return b.String()
}

// ZhimaiToken computes the Token of Zhimai V2, already URL-encoded as the
// JSON field carries it. capitalised writes the keys of the signed text as
// the request's fields are written.
func ZhimaiToken(openKey, openID, grantCode, timestamp, nonce string, capitalised bool) string {
	keys := [4]string{"grantCode", "nonce", "openId", "timestamp"}
	if capitalised {
		keys = [4]string{"GrantCode", "Nonce", "OpenId", "Timestamp"}
	}
	text := keys[0] + "=" + grantCode + "&" + keys[1] + "=" + nonce + "&" + keys[2] + "=" + openID + "&" + keys[3] + "=" + timestamp
	h := hmac.New(sha1.New, []byte(openKey))
	h.Write([]byte(text))
	return url.QueryEscape(base64.StdEncoding.EncodeToString(h.Sum(nil)))
}

// Signing is one of the ways in which Keruyun signs.
type Signing string

// Keruyun's signatures. The text of version 2.0 names the word "body" before
// the body, one published example leaves it out.
const (
	V1          Signing = "v1"
	V2          Signing = "v2"
	V2NoLiteral Signing = "v2-no-literal"
)

// version is the value of Keruyun's parameter version.
func (s Signing) version() (string, error) {
	switch s {
	case V1:
		return "1.0", nil
	case V2, V2NoLiteral, "":
		return "2.0", nil
	}
	return "", fmt.Errorf("signing: %q is unknown, use %s, %s or %s", s, V1, V2, V2NoLiteral)
}

// KeruyunSign signs the public parameters and, from version 2.0 on, the raw
// body: lower-case hexadecimal of the SHA-256.
func KeruyunSign(s Signing, params map[string]string, body []byte, token string) string {
	h := sha256.New()
	h.Write([]byte(topText(params))) // the same sorting rule as TOP's
	if s != V1 && len(body) > 0 {
		if s != V2NoLiteral {
			h.Write([]byte("body"))
		}
		h.Write(body)
	}
	h.Write([]byte(token))
	return hex.EncodeToString(h.Sum(nil))
}
