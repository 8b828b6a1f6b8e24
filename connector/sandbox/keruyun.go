// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Keruyun calls a connector as Keruyun's point of sale does: public parameters
// and signature in the query, the body as raw bytes.
type Keruyun struct {
	// BaseURL is the connector's, such as http://127.0.0.1:8080.
	BaseURL string
	// PathBrandID stands in the path /keruyun/{brand}/…; BrandID when empty.
	PathBrandID string

	AppKey string
	Token  string // the brand token, or the shop token with ShopIdenty
	// Exactly one of the two is sent.
	BrandID    string
	ShopIdenty string

	Signing Signing // default V2
	// Millis sends the timestamp in milliseconds instead of seconds.
	Millis bool

	Now    func() time.Time // default time.Now
	Client *http.Client     // default http.DefaultClient
	Header http.Header      // more headers, for tests
}

// The four member interfaces, as paths below /keruyun/{brand}.
const (
	QueryPath   = "member-assets/query"
	VerifyPath  = "member-assets/verify"
	ReversePath = "member-assets/reverse"
	ResultPath  = "member-assets/result"
)

// Verify redeems assets (会员资产核销).
func (k Keruyun) Verify(ctx context.Context, body []byte) (status int, reply []byte, err error) {
	return k.Call(ctx, VerifyPath, body)
}

// Query looks a member and its assets up (会员及资产查询).
func (k Keruyun) Query(ctx context.Context, body []byte) (status int, reply []byte, err error) {
	return k.Call(ctx, QueryPath, body)
}

// Reverse undoes a redemption (会员资产反核销).
func (k Keruyun) Reverse(ctx context.Context, body []byte) (status int, reply []byte, err error) {
	return k.Call(ctx, ReversePath, body)
}

// Result asks what became of a call (查询核销结果).
func (k Keruyun) Result(ctx context.Context, body []byte) (status int, reply []byte, err error) {
	return k.Call(ctx, ResultPath, body)
}

// Call signs body as it is and posts it to path, which is relative to
// /keruyun/{brand}, or absolute when it begins with a slash.
func (k Keruyun) Call(ctx context.Context, path string, body []byte) (status int, reply []byte, err error) {
	u, err := k.URL(path, body)
	if err != nil {
		return 0, nil, err
	}
	return k.Post(ctx, u, body)
}

// Params are the public parameters of a call now, without sign.
func (k Keruyun) Params() (map[string]string, error) {
	version, err := k.Signing.version()
	if err != nil {
		return nil, err
	}
	now := time.Now
	if k.Now != nil {
		now = k.Now
	}
	stamp := now().Unix()
	if k.Millis {
		stamp = now().UnixMilli()
	}
	p := map[string]string{"appKey": k.AppKey, "version": version, "timestamp": strconv.FormatInt(stamp, 10)}
	switch {
	case k.BrandID != "" && k.ShopIdenty != "":
		return nil, errors.New("BrandID and ShopIdenty are both given: Keruyun sends exactly one")
	case k.ShopIdenty != "":
		p["shopIdenty"] = k.ShopIdenty
	default:
		p["brandId"] = k.BrandID
	}
	return p, nil
}

// URL is the signed address for body; a test may change it before Post.
func (k Keruyun) URL(path string, body []byte) (string, error) {
	p, err := k.Params()
	if err != nil {
		return "", err
	}
	base, err := url.Parse(k.BaseURL)
	if err != nil {
		return "", fmt.Errorf("base URL: %w", err)
	}
	if len(path) == 0 || path[0] != '/' {
		base = base.JoinPath("keruyun", or(k.PathBrandID, k.BrandID), path)
	} else {
		base = base.JoinPath(path)
	}
	q := url.Values{"sign": {KeruyunSign(k.Signing, p, body, k.Token)}}
	for n, v := range p {
		q.Set(n, v)
	}
	base.RawQuery = q.Encode()
	return base.String(), nil
}

// Post sends body to an address that URL made.
func (k Keruyun) Post(ctx context.Context, signedURL string, body []byte) (status int, reply []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, signedURL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	for n, v := range k.Header {
		req.Header[n] = v
	}
	client := k.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("call connector: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return resp.StatusCode, reply, fmt.Errorf("read reply: %w", err)
	}
	return resp.StatusCode, reply, nil
}

// Reply is the envelope that Keruyun expects of every answer. Another shape
// makes Keruyun stop calling.
type Reply struct {
	Code        int     `json:"code"` // 0 ok, 3000 system error, 3001 timeout
	Message     string  `json:"message"`
	MessageUUID string  `json:"messageUuid"`
	Result      *Result `json:"result"` // absent when Code is not 0
}

// Result is the business part of a Reply.
type Result struct {
	Data    json.RawMessage `json:"data"`
	SubCode string          `json:"subCode"`
	SubMsg  string          `json:"subMsg"`
	Success bool            `json:"success"`
}

// VerifyData is the data of a verify reply. Amounts are fen.
type VerifyData struct {
	KryBrandID       string       `json:"kryBrandId"`
	KryShopID        string       `json:"kryShopId"`
	KryTransOrderNo  string       `json:"kryTransOrderNo"`
	KryPaymentNo     string       `json:"kryPaymentNo"`
	FlowID           string       `json:"flowId"`
	MemberID         string       `json:"memberId"`
	MemberName       string       `json:"memberName"`
	Lines            []VerifyLine `json:"verifyAssetsDetailList"`
	ErrorDescription string       `json:"errorDescription"`
}

// VerifyLine is one asset of a verify reply. Amounts are fen.
type VerifyLine struct {
	AssetMappingID           string `json:"assetMappingId"`
	AssetID                  string `json:"assetId"`
	KryBrandID               string `json:"kryBrandId"`
	VerifyTotalAmount        int64  `json:"verifyTotalAmount"`
	VerifyRealAmount         int64  `json:"verifyRealAmount"`
	VerifyGiftAmount         int64  `json:"verifyGiftAmount"`
	PlatformDiscountAmount   int64  `json:"platformDiscountAmount"`
	PlatformCommissionAmount int64  `json:"platformCommissionAmount"`
	Status                   string `json:"status"`
	ErrorDescription         string `json:"errorDescription"`
	ErrCode                  string `json:"errCode"`
}

// DecodeReply reads an envelope and holds it to Keruyun's contract: code,
// message and messageUuid are there, and result is there exactly when code
// is 0.
func DecodeReply(raw []byte) (Reply, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return Reply{}, fmt.Errorf("reply is not a JSON object: %w", err)
	}
	for _, name := range []string{"code", "message", "messageUuid"} {
		if _, ok := keys[name]; !ok {
			return Reply{}, fmt.Errorf("reply has no %s", name)
		}
	}
	var r Reply
	if err := json.Unmarshal(raw, &r); err != nil {
		return Reply{}, fmt.Errorf("decode reply: %w", err)
	}
	if r.Code == 0 && r.Result == nil {
		return r, errors.New("reply has code 0 but no result")
	}
	if r.Code != 0 && r.Result != nil {
		return r, fmt.Errorf("reply has code %d and a result", r.Code)
	}
	return r, nil
}

// VerifyData decodes the data of a verify or result reply.
func (r Reply) VerifyData() (VerifyData, error) {
	if r.Result == nil {
		return VerifyData{}, errors.New("reply has no result")
	}
	var d VerifyData
	if err := json.Unmarshal(r.Result.Data, &d); err != nil {
		return VerifyData{}, fmt.Errorf("decode data: %w", err)
	}
	return d, nil
}
