// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Version of the signature, as the public parameter `version` names it.
type Version string

const (
	// V1 signs the public parameters alone. Whoever holds one signed query can send
	// any body with it until the time stamp is stale.
	V1 Version = "1.0"
	// V2 signs the public parameters and the body.
	V2 Version = "2.0"
)

// MaxSkew is how far the time stamp of a call may lie from our clock, either way
// (Keruyun, public parameters: five minutes).
const MaxSkew = 300 * time.Second

// maxQuery bounds the query string in bytes; a real one has about 200.
const maxQuery = 2048

// Errors of the public parameters. Each is wrapped with what was wrong.
var (
	ErrQuery     = errors.New("malformed public parameters")
	ErrSignature = errors.New("signature not accepted")
	ErrStale     = errors.New("time stamp out of range")
)

// Params are the public parameters of a call.
type Params struct {
	AppKey string
	// Exactly one of BrandID (`brandId`) and ShopIdenty is set.
	BrandID, ShopIdenty string
	Version             Version
	// Timestamp as it was sent: it is hashed so. At is what it means.
	Timestamp string
	At        time.Time
	Sign      [sha256.Size]byte
}

// ParseParams reads the public parameters from a raw query string. A fault
// wraps ErrQuery, or ErrSignature when there is nothing that could be a signature.
//
// A name that stands twice is refused whatever the name, since two readers could
// disagree on which one counts. Names that are not public parameters are ignored and
// are not part of what is signed: hashing them would, in the form of version 2.0
// without the word "body", let someone move the beginning of a signed body into the
// query.
func ParseParams(rawQuery string) (Params, error) {
	if len(rawQuery) > maxQuery {
		return Params{}, fmt.Errorf("%w: the query string has more than %d bytes", ErrQuery, maxQuery)
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Params{}, fmt.Errorf("%w: the query string cannot be decoded", ErrQuery)
	}
	for name, all := range values {
		if len(all) > 1 {
			return Params{}, fmt.Errorf("%w: %q stands %d times", ErrQuery, clip(name), len(all))
		}
	}
	for _, name := range []string{"appKey", "version", "timestamp"} {
		if values.Get(name) == "" {
			return Params{}, fmt.Errorf("%w: %s is missing", ErrQuery, name)
		}
	}
	p := Params{
		AppKey:     values.Get("appKey"),
		BrandID:    values.Get("brandId"),
		ShopIdenty: values.Get("shopIdenty"),
		Version:    Version(values.Get("version")),
		Timestamp:  values.Get("timestamp"),
	}
	if values.Has("brandId") == values.Has("shopIdenty") || (p.BrandID == "") == (p.ShopIdenty == "") {
		return Params{}, fmt.Errorf("%w: exactly one of brandId and shopIdenty is needed", ErrQuery)
	}
	// Names and values are hashed without separators. With the app key and the brand
	// pinned by configuration, digits alone in a shop's number and in the time stamp
	// leave one reading of what was signed.
	if p.ShopIdenty != "" && !isDigits(p.ShopIdenty) {
		return Params{}, fmt.Errorf("%w: shopIdenty is not a number", ErrQuery)
	}
	if p.Version != V1 && p.Version != V2 {
		return Params{}, fmt.Errorf("%w: version is neither 1.0 nor 2.0", ErrQuery)
	}
	if p.At, err = parseTimestamp(p.Timestamp); err != nil {
		return Params{}, err
	}
	sign, err := hex.DecodeString(values.Get("sign"))
	if err != nil || len(sign) != len(p.Sign) {
		return Params{}, fmt.Errorf("%w: sign is not 64 hex digits", ErrSignature)
	}
	p.Sign = [sha256.Size]byte(sign)
	return p, nil
}

// parseTimestamp reads unix seconds, as documented, or 13-digit milliseconds, as
// Keruyun's samples show and its servers send.
func parseTimestamp(s string) (time.Time, error) {
	if (len(s) != 10 && len(s) != 13) || !isDigits(s) {
		return time.Time{}, fmt.Errorf("%w: timestamp is neither unix seconds nor milliseconds", ErrQuery)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: timestamp: %w", ErrQuery, err)
	}
	if len(s) == 13 {
		return time.UnixMilli(n), nil
	}
	return time.Unix(n, 0), nil
}

// Fresh returns an error that wraps ErrStale when p's time stamp lies more than
// MaxSkew from now, before or after.
func (p Params) Fresh(now time.Time) error {
	if skew := now.Sub(p.At); skew.Abs() > MaxSkew {
		return fmt.Errorf("%w: %s behind our clock, at most %s is allowed", ErrStale, skew.Round(time.Second), MaxSkew)
	}
	return nil
}

// SignedBy reports whether one of tokens made p's signature over p and, under
// version 2.0, body: the bytes as received. It takes as long for a wrong signature as
// for a right one.
//
// Keruyun's description of version 2.0 puts the literal word "body" before the body,
// one of its published digests does without. Both are accepted.
func (p Params) SignedBy(tokens []string, body []byte) bool {
	match := 0
	for _, token := range tokens {
		if token == "" {
			continue // an empty secret is no secret
		}
		literal := p.digest(token, body, true)
		plain := p.digest(token, body, false)
		match |= subtle.ConstantTimeCompare(literal[:], p.Sign[:])
		match |= subtle.ConstantTimeCompare(plain[:], p.Sign[:])
	}
	return match == 1
}

// digest is SHA-256 over the public parameters sorted by name, the body under
// version 2.0, and the token.
func (p Params) digest(token string, body []byte, literal bool) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(p.text()))
	if p.Version == V2 && len(body) > 0 {
		if literal {
			h.Write([]byte("body"))
		}
		h.Write(body)
	}
	h.Write([]byte(token))
	return [sha256.Size]byte(h.Sum(nil))
}

// text is what is signed of p: names and values in the order of the names.
func (p Params) text() string {
	var b strings.Builder
	b.WriteString("appKey" + p.AppKey)
	if p.BrandID != "" {
		b.WriteString("brandId" + p.BrandID)
	} else {
		b.WriteString("shopIdenty" + p.ShopIdenty)
	}
	b.WriteString("timestamp" + p.Timestamp)
	b.WriteString("version" + string(p.Version))
	return b.String()
}

// SignedQuery returns the query string of a call as Keruyun makes it: p's own Sign is
// ignored and made anew with token over body, by the documented form.
func SignedQuery(p Params, token string, body []byte) string {
	sum := p.digest(token, body, true)
	q := url.Values{
		"appKey":    {p.AppKey},
		"version":   {string(p.Version)},
		"timestamp": {p.Timestamp},
		"sign":      {hex.EncodeToString(sum[:])},
	}
	if p.BrandID != "" {
		q.Set("brandId", p.BrandID)
	} else {
		q.Set("shopIdenty", p.ShopIdenty)
	}
	return q.Encode()
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// clip bounds text of the caller that an error quotes.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
