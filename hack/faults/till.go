// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// assetMapping is what the till calls the stored value at each vendor.
var assetMapping = map[books.Vendor]string{books.Zhimai: "100001", books.ALSC: "200001"}

// sale is one payment of one member. The member buys nothing else, so whatever leaves
// the member's accounts, under whatever key, is this payment's.
type sale struct {
	bizID, member string
	fen           map[books.Vendor]int64
	vendors       []books.Vendor

	mu    sync.Mutex
	calls []call
}

// call is one call of the till and what it heard.
type call struct {
	start, end time.Time
	word       word
	raw        []byte
	changed    bool // the till sent other content under this bizId
	detail     string
	lines      map[books.Vendor]bool // redeemed?, of a terminal word
}

// word is what an answer tells a till.
type word string

const (
	success word = "SUCCESS" // code 0, success true
	refused word = "FAIL"    // code 0, success false: concluded, line by line
	turned  word = "TURNED"  // code 0, success false: this request was turned away before anything was recorded
	faulted word = "3000"    // nothing was sent
	doubt   word = "3001"    // not known
	silence word = "SILENCE" // no answer, or one that cannot be read
)

func (w word) terminal() bool { return w == success || w == refused }

// subConcluded are the sub codes of a concluded redemption; every other says that the
// request was turned away.
var subConcluded = map[string]bool{"000": true, "201": true, "202": true, "203": true}

// body is the request of the sale. What is no part of the payment differs with every
// call, as it does when a till repeats: request number, one-time payment code, operator.
func (s *sale) body(extraFen int64) []byte {
	lines := []map[string]any{}
	for _, v := range s.vendors {
		lines = append(lines, map[string]any{
			"assetMappingId": assetMapping[v], "assetId": assetMapping[v], "verifyAmount": s.fen[v] + extraFen, "verifyCnt": 0,
		})
	}
	raw, err := json.Marshal(map[string]any{
		"bizId": s.bizID, "kryTransOrderNo": "T" + s.bizID, "kryPaymentNo": "P" + s.bizID,
		"kryMemberId": s.member, "thirdMemberId": s.member, "mobile": "150****1111",
		"memberAssetsVerificationList": lines, "paymentToken": rand.Text(), "paymentTokenType": "PAYMENT_TOKEN",
		"requestId": rand.Text(), "operatorId": rand.Text()[:6], "operatorName": "张三", "kryBrandId": brandID, "kryShopId": "8066287",
	})
	if err != nil {
		panic(err) // texts and numbers
	}
	return raw
}

// reverseBody asks for the whole sale back.
func (s *sale) reverseBody(of *sale) []byte {
	lines := []map[string]any{}
	for _, v := range of.vendors {
		lines = append(lines, map[string]any{
			"assetMappingId": assetMapping[v], "assetId": assetMapping[v], "reverseVerifyAmount": of.fen[v], "reverseVerifyCnt": 0,
		})
	}
	raw, err := json.Marshal(map[string]any{
		"bizId": s.bizID, "kryTransOrderNo": "T" + of.bizID, "kryPaymentNo": "P" + of.bizID, "kryRefundPaymentNo": "R" + s.bizID,
		"kryMemberId": of.member, "thirdMemberId": of.member, "thirdFlowNo": of.flowID(), "assetsReverseVerificationList": lines,
		"requestId": rand.Text(), "operatorId": rand.Text()[:6], "operatorName": "张三", "kryBrandId": brandID, "kryShopId": "8066287",
	})
	if err != nil {
		panic(err) // texts and numbers
	}
	return raw
}

func (s *sale) flowID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.word != success {
			continue
		}
		if r, err := sandbox.DecodeReply(c.raw); err == nil {
			if d, err := r.VerifyData(); err == nil {
				return d.FlowID
			}
		}
	}
	return ""
}

// till calls a connector as Keruyun's point of sale does, each call on a connection of
// its own pool, and remembers what it heard.
type till struct {
	url     string
	patient time.Duration // how long it waits for an answer
	client  *http.Client
}

func newTill(url string, patient time.Duration) *till {
	return &till{url: url, patient: patient, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
	}}}
}

// ask sends body to path for s and keeps what came back.
func (t *till) ask(ctx context.Context, s *sale, path string, body []byte, changed bool) call {
	ctx, cancel := context.WithTimeout(ctx, t.patient)
	defer cancel()
	kry := sandbox.Keruyun{BaseURL: t.url, AppKey: keruyunApp, Token: keruyunToken, BrandID: brandID, Client: t.client}
	c := call{start: time.Now(), changed: changed}
	status, raw, err := kry.Call(ctx, path, body)
	c.end = time.Now()
	c.hear(status, raw, err)
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	return c
}

func (c *call) hear(status int, raw []byte, err error) {
	c.raw, c.word = raw, silence
	if err != nil {
		c.detail = err.Error()
		return
	}
	r, err := sandbox.DecodeReply(raw)
	if err != nil {
		c.detail = fmt.Sprintf("HTTP %d: %v", status, err)
		return
	}
	c.detail = fmt.Sprintf("HTTP %d code %d %s", status, r.Code, r.Message)
	switch {
	case r.Code == 3000:
		c.word = faulted
	case r.Code == 3001:
		c.word = doubt
	case r.Code == 0 && r.Result.Success:
		c.word = success
	case r.Code == 0 && subConcluded[r.Result.SubCode]:
		c.word = refused
	case r.Code == 0:
		c.word = turned
	}
	if r.Result != nil {
		c.detail += " sub " + r.Result.SubCode
	}
	if c.word.terminal() {
		c.lines = map[books.Vendor]bool{}
		if d, err := r.VerifyData(); err == nil {
			for _, l := range d.Lines {
				for v, mapping := range assetMapping {
					if l.AssetMappingID == mapping {
						c.lines[v] = l.Status == "SUCCESS"
					}
				}
			}
		}
	}
}

// terminal is the first call that heard how the sale ended.
func (s *sale) terminal() (call, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.word.terminal() && !c.changed {
			return c, true
		}
	}
	return call{}, false
}

// differing is a terminal answer that is not the first one byte for byte.
func (s *sale) differing() (first, other call, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		switch {
		case !c.word.terminal() || c.changed:
		case first.raw == nil:
			first = c
		case !bytes.Equal(first.raw, c.raw):
			return first, c, true
		}
	}
	return first, call{}, false
}

// heard is what the till heard, in short.
func (s *sale) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	for _, c := range s.calls {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s", c.word)
		if c.changed {
			b.WriteString("(changed)")
		}
	}
	return b.String()
}
