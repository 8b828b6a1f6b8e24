// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// reply is an answer as far as the vendor's documents describe it. The verdict is
// said twice: outside, and inside data.
type reply struct {
	http         int
	empty        bool
	readable     bool // one JSON object
	outer, inner verdict
	data         answer.Object     // nil without an object called data
	rows         []json.RawMessage // where data is a list in place of an object
}

// verdict is one level of a reply.
type verdict struct {
	status  answer.Flag
	code    string
	message string
}

// said is what a verdict means by the document: status true and code 0 is done,
// status true and another code a refusal, status false a failure of the system.
type said int

const (
	nothing said = iota // missing, or in a form that is not documented
	done
	refusal
	failure
)

func (v verdict) said() said {
	switch {
	case v.status == answer.False:
		return failure
	case v.status != answer.True || v.code == "":
		return nothing
	case v.code == "0":
		return done
	case likeSuccess(v.code):
		return nothing
	}
	return refusal
}

// likeSuccess holds the codes that mean success elsewhere: zero in other spellings,
// and 200. Under status true they are too close to success to be called a refusal.
func likeSuccess(code string) bool {
	return code == "200" || code == "true" || code == "false" || strings.Trim(code, "+-0.eE") == ""
}

// decode reads an answer; it never fails, it finds less.
func decode(httpStatus int, body []byte) reply {
	r := reply{http: httpStatus, empty: len(bytes.TrimSpace(body)) == 0}
	root, err := answer.Parse(body)
	if err != nil {
		return r
	}
	r.readable = true
	r.outer = readVerdict(root)
	if data, ok := root.Object("data"); ok {
		r.data = data
		r.inner = readVerdict(data)
	} else if raw := root["data"]; len(raw) > 0 && raw[0] == '{' {
		r.readable = false // an object that can be read in two ways
	} else if len(raw) > 0 && raw[0] == '[' {
		r.rows, _ = root.List("data")
	}
	return r
}

func readVerdict(o answer.Object) verdict {
	return verdict{status: o.Flag("status"), code: o.Text("code"), message: o.Text("message")}
}

// changes reads what the vendor says it took. known is false when it says nothing;
// ok is false when what it says cannot be read.
func (r reply) changes(inFen bool) (recharge, gift redeem.Fen, known, ok bool) {
	rechargeText, giftText := r.data.Text("change_recharge_amount"), r.data.Text("change_gift_amount")
	known = rechargeText != "" || giftText != ""
	recharge, ok1 := readMoney(rechargeText, inFen)
	gift, ok2 := readMoney(giftText, inFen)
	return recharge, gift, known, ok1 && ok2
}

// readMoney reads an amount without its sign: a spend may be reported as negative.
func readMoney(text string, inFen bool) (redeem.Fen, bool) {
	text = strings.TrimPrefix(text, "-")
	if text == "" {
		return 0, true
	}
	if inFen {
		n, err := strconv.ParseInt(text, 10, 64)
		return redeem.Fen(n), err == nil && n >= 0 && redeem.Fen(n) <= redeem.MaxFen
	}
	fen, err := redeem.ParseYuan(text)
	return fen, err == nil && fen >= 0 && fen <= redeem.MaxFen
}

// contradicts: a part of the reply says that it was done, or what was taken, and
// another part that it was not.
func (r reply) contradicts(key string) bool {
	if r.outer.said() == done && (r.inner.said() == done || r.data == nil) {
		return false
	}
	if r.outer.said() != done && r.inner.said() == done {
		return true
	}
	recharge, gift, _, ok := r.changes(false)
	id := r.data.Text("bizId")
	return !ok || recharge != 0 || gift != 0 || (id != "" && id != key)
}
