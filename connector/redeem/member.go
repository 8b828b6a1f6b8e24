// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
)

// MemberBy is by what a guest is looked for.
type MemberBy string

// The ways in which at least one vendor finds a member.
const (
	ByMobile       MemberBy = "Mobile"
	ByMemberID     MemberBy = "MemberID" // the vendor's own, or what MemberView.MemberID said
	ByCard         MemberBy = "Card"
	ByWeChatOpenID MemberBy = "WeChatOpenID"
	ByWeChatUnion  MemberBy = "WeChatUnionID"
	ByAlipayUserID MemberBy = "AlipayUserID"
)

// MemberQuery asks who a guest is and what he may spend (会员及资产查询).
type MemberQuery struct {
	BrandID, ShopID string
	By              MemberBy
	Value           string // personal
	AssetMappingID  string // "" is every mapping
	Assets          []Asset
	TraceID         string
	ReplyDeadlineAt time.Time
}

// MemberReader is a provider that can show a member. It moves nothing.
type MemberReader interface {
	// ReadMember asks the vendor once and honours ctx's deadline. ErrNoMember is
	// wrapped where the vendor says, in a documented form, that it shows no such
	// member; any other error is a *ReadError.
	ReadMember(ctx context.Context, q MemberQuery) (Member, error)
}

// Member is a guest as one vendor knows him. All of it is personal.
type Member struct {
	ID, Name, Gender, Mobile, Birthday, Email string
	// Holdings are the assets that can be spent, under the names by which the
	// provider's Plan takes them.
	Holdings []Holding
	// Unsaid are the kinds of asset of which the answer said nothing that can be read.
	// That is no proof that the member has none.
	Unsaid []Asset
}

// Genders that a vendor documents; empty: it says none.
const (
	Female = "FEMALE"
	Male   = "MALE"
)

// Holding is one asset of a member. Money is fen.
type Holding struct {
	Asset             Asset
	AssetID, Name     string
	Total, Real, Gift Fen   // stored value: Total = Real + Gift
	Count             int64 // points, or 1 for a coupon
	Face, Minimum     Fen   // coupons: what it is worth, and from which bill on; 0: not said
	From, Until       string
}

// ErrNoMember is wrapped by a MemberReader to which the guest is not known.
var ErrNoMember = errors.New("the vendor shows no such member")

// ReadError is a question that was not answered. Nothing follows from it.
type ReadError struct {
	Class      Class
	Code       string // the vendor's, bounded
	Detail     string // English, nothing personal
	Again      bool   // the same question may succeed at once
	RetryAfter time.Duration
}

// Error renders the English text.
func (e *ReadError) Error() string { return string(e.Class) + ": " + e.Detail }

// MemberView is what all of the brand's vendors say of a guest.
type MemberView struct {
	// Member has no holdings; its ID is to be sent as thirdMemberId: see QualifiedID.
	Member Member
	Items  []MemberItem
	// Found: at least one vendor knows the guest. Incomplete: at least one vendor was
	// asked and did not say, so what the items lack may be there all the same.
	Found, Incomplete bool
}

// MemberItem is an asset of the view, or, with a State other than Shown, the reason why the assets of
// a mapping are not.
type MemberItem struct {
	AssetMappingID string
	Asset          Asset
	Provider       string
	State          ItemState
	Holding        Holding // when Shown
	Code           string  // otherwise: the vendor's code, or our class
}

// ItemState says what is known of an item.
type ItemState string

const (
	// Shown: the vendor holds it for the member.
	Shown ItemState = "shown"
	// NoMember: the vendor shows no such member.
	NoMember ItemState = "no-member"
	// NotRead: not known. The asset may well be there.
	NotRead ItemState = "not-read"
)

const (
	readAttempts = 3
	readPause    = 100 * time.Millisecond
)

// Member asks the vendors of the brand's routes, all at once, within the reply
// deadline. Each question passes the provider's gate as a redemption does; one that failed for a
// reason that may pass is asked again while there is time. Nothing is recorded. A rejection says that
// nobody was asked.
func (e *Engine) Member(ctx context.Context, q MemberQuery) (MemberView, *Rejection) {
	if q.BrandID != e.cfg.BrandID {
		return MemberView{}, reject(SubBizID, "kryBrandId", "the request is for another brand")
	}
	places, rej := placesOf(e.cfg.Routes, q)
	if rej != nil {
		return MemberView{}, rej
	}
	work := e.begin()
	defer work.release()
	if !work.held() {
		return MemberView{}, reject(SubDraining, "", "the connector is shutting down")
	}
	deadline := q.ReplyDeadlineAt
	if deadline.IsZero() {
		deadline = e.Now().Add(e.cfg.ReplyDeadline)
	}
	ctx, span := e.span(ctx, "redeem.member")
	defer span.End()
	answers := e.readAll(ctx, asked(e.cfg.Routes, places), q, deadline.Add(-e.cfg.ReplyMargin))
	v := merge(e.cfg.Routes, places, answers)
	span.SetAttributes(attribute.Bool("hexiao.member.found", v.Found), attribute.Bool("hexiao.member.incomplete", v.Incomplete))
	return v, nil
}

// place is a mapping under which an asset of a vendor is shown.
type place struct {
	mapping, provider string
	asset             Asset
}

// placesOf finds the mapping of each kind of asset at each vendor. Any mapping of a route spends the same
// assets, so each is shown once, under the first one, or under the one that is asked for: a
// balance that stands twice looks like twice the money.
func placesOf(routes []Route, q MemberQuery) ([]place, *Rejection) {
	if q.AssetMappingID != "" {
		r, ok := routeOf(routes, q.AssetMappingID)
		if !ok {
			return nil, reject(SubNoRoute, "assetMappingId", fmt.Sprintf("no route matches %q", clip(q.AssetMappingID)))
		}
		routes = []Route{{AssetMappingIDs: []string{q.AssetMappingID}, Asset: r.Asset, Provider: r.Provider}}
	}
	var places []place
	taken := map[string]bool{} // a later route never gets these
	for _, r := range routes {
		i := slices.IndexFunc(r.AssetMappingIDs, func(id string) bool { return !taken[id] })
		for _, id := range r.AssetMappingIDs {
			taken[id] = true
		}
		twice := slices.ContainsFunc(places, func(p place) bool { return p.provider == r.Provider && p.asset == r.Asset })
		if i < 0 || twice || (len(q.Assets) > 0 && !slices.Contains(q.Assets, r.Asset)) {
			continue
		}
		places = append(places, place{r.AssetMappingIDs[i], r.Provider, r.Asset})
	}
	return places, nil
}

// asked are the vendors of the places, or all of the brand when there is no place: then only the
// member is asked for.
func asked(routes []Route, places []place) []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, p := range places {
		add(p.provider)
	}
	if len(places) == 0 {
		for _, r := range routes {
			add(r.Provider)
		}
	}
	return names
}

// memberAnswer is what a vendor said.
type memberAnswer struct {
	member Member
	err    error
}

func (e *Engine) readAll(ctx context.Context, names []string, q MemberQuery, deadline time.Time) map[string]memberAnswer {
	var mu sync.Mutex
	var all sync.WaitGroup
	answers := map[string]memberAnswer{}
	for _, name := range names {
		all.Go(func() {
			m, err := e.readFrom(ctx, name, q, deadline)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = memberAnswer{m, err}
		})
	}
	all.Wait()
	return answers
}

func (e *Engine) readFrom(ctx context.Context, name string, q MemberQuery, deadline time.Time) (m Member, err error) {
	ctx, span := e.span(ctx, "redeem.member.read", attribute.String("hexiao.provider", name))
	defer span.End()
	defer func() {
		if v := recover(); v != nil {
			err = &ReadError{Class: "panic", Detail: fmt.Sprintf("%T", v)} // the value may quote the answer
		}
		if failed, ok := errors.AsType[*ReadError](err); ok {
			span.SetStatus(codes.Error, string(failed.Class))
			e.log.WarnContext(ctx, "a member could not be read", "provider", name, "class", string(failed.Class), "code", failed.Code, "detail", failed.Detail)
		}
	}()
	reader, ok := e.Providers[name].(MemberReader)
	if !ok {
		return Member{}, &ReadError{Class: "unsupported", Detail: "the provider cannot show members"}
	}
	if q.By == ByMemberID {
		if q.Value = MemberAt(q.Value, name, e.Providers); q.Value == "" {
			return Member{}, ErrNoMember
		}
	}
	g, now := e.gates[name], e.Now()
	p, rej := enter(ctx, []*gate{g}, now.Add(deadline.Sub(now)/2))
	if rej != nil {
		return Member{}, &ReadError{Class: "gate", Code: rej.SubCode, Detail: rej.Detail}
	}
	defer p.release()
	m, err = e.read(ctx, g, reader, q, deadline)
	if len(p.trial) > 0 { // the question was the breaker's probe, and better one than a deduction
		_, failed := errors.AsType[*ReadError](err)
		g.conclude(!failed)
	}
	return m, err
}

// read asks until there is an answer, at most readAttempts times. Each but the last attempt has half of the
// time that is left, so that one lost packet does not take it all. A failed question tells nothing of
// deductions, so the breaker does not hear of it; a vendor that asks for quiet gets it.
func (e *Engine) read(ctx context.Context, g *gate, reader MemberReader, q MemberQuery, deadline time.Time) (Member, error) {
	for n := 1; ; n++ {
		left := deadline.Sub(e.Now())
		if n < readAttempts {
			left /= 2
		}
		try, cancel := context.WithTimeout(ctx, left)
		m, err := reader.ReadMember(try, q)
		cancel()
		failed, ok := errors.AsType[*ReadError](err)
		if !ok {
			return m, err
		}
		g.pause(failed.RetryAfter)
		wait := max(failed.RetryAfter, readPause<<(n-1))
		if !failed.Again || n == readAttempts || !e.Now().Add(2*wait).Before(deadline) || !sleep(ctx, wait) {
			return Member{}, err
		}
		if rej := g.admit(ctx, deadline); rej != nil {
			return Member{}, err
		}
	}
}

// pause keeps calls back for d.
func (g *gate) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.now().Add(d); t.After(g.pausedUntil) {
		g.pausedUntil = t
	}
}

// merge puts the answers together, in the order of the brand's routes. Pure.
func merge(routes []Route, places []place, answers map[string]memberAnswer) MemberView {
	var v MemberView
	ids := map[string]string{}
	for _, name := range asked(routes, places) {
		a := answers[name]
		switch {
		case a.err == nil:
			v.Found = true
			ids[name] = a.member.ID
			v.Member.fill(a.member)
		case !errors.Is(a.err, ErrNoMember):
			v.Incomplete = true
		}
	}
	v.Member.ID = QualifiedID(asked(routes, nil), ids)
	for _, p := range places {
		items := itemsOf(p, answers[p.provider])
		for _, i := range items {
			v.Incomplete = v.Incomplete || i.State == NotRead
		}
		v.Items = append(v.Items, items...)
	}
	return v
}

// fill takes from o what m does not have.
func (m *Member) fill(o Member) {
	for _, f := range []struct {
		to   *string
		from string
	}{{&m.Name, o.Name}, {&m.Gender, o.Gender}, {&m.Mobile, o.Mobile}, {&m.Birthday, o.Birthday}, {&m.Email, o.Email}} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
}

func itemsOf(p place, a memberAnswer) []MemberItem {
	item := MemberItem{AssetMappingID: p.mapping, Asset: p.asset, Provider: p.provider, State: NotRead}
	if a.err != nil {
		if errors.Is(a.err, ErrNoMember) {
			item.State = NoMember
		} else if failed, ok := errors.AsType[*ReadError](a.err); ok {
			if item.Code = failed.Code; item.Code == "" {
				item.Code = string(failed.Class)
			}
		}
		return []MemberItem{item}
	}
	if slices.Contains(a.member.Unsaid, p.asset) {
		item.Code = "unsaid"
		return []MemberItem{item}
	}
	var items []MemberItem
	for _, h := range a.member.Holdings {
		if h.Asset == p.asset {
			item.State, item.Holding = Shown, h
			items = append(items, item)
		}
	}
	return items
}

// QualifiedID is the thirdMemberId under which verify finds the member at each vendor. It is the plain id
// where the brand has one vendor, or where all of them know the member under the same
// one. Otherwise it names each ("alsc:1001,zhimai:2002"): a number of one vendor may be
// another person at the other.
func QualifiedID(vendors []string, ids map[string]string) string {
	var parts, plain []string
	for _, name := range slices.Sorted(slices.Values(vendors)) {
		if id := ids[name]; id != "" {
			parts = append(parts, name+":"+url.QueryEscape(id))
			if !slices.Contains(plain, id) {
				plain = append(plain, id)
			}
		}
	}
	if len(parts) == len(vendors) && len(plain) == 1 && !strings.Contains(plain[0], ":") {
		return plain[0]
	}
	return strings.Join(parts, ",")
}

// MemberAt is the member's id at a vendor: id itself, unless it is one that QualifiedID made for the
// known vendors. It is "" when that names the vendor not.
func MemberAt(id, vendor string, known map[string]Provider) string {
	at := ""
	for part := range strings.SplitSeq(id, ",") {
		name, value, ok := strings.Cut(part, ":")
		if _, is := known[name]; !ok || !is {
			return id
		}
		plain, err := url.QueryUnescape(value)
		if err != nil || plain == "" {
			return id
		}
		if name == vendor {
			at = plain
		}
	}
	return at
}
