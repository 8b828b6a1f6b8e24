//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// load is a till that redeems a fen at Zhimai again and again, each time under an id of
// its own: one worker over a connection that it keeps, one over a new one each time.
type load struct {
	story    *story
	prefix   string // of its ids
	cancel   context.CancelFunc
	done     sync.WaitGroup
	mu       sync.Mutex
	sent     int
	failures []error
}

func (s *story) startLoad(t *testing.T, brand, brandID string) *load {
	t.Helper()
	s.loads++
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{story: s, prefix: fmt.Sprintf("load-%s-%d-", brandID, s.loads), cancel: cancel}
	t.Cleanup(cancel)
	keeping := s.till(t, brand, brandID)
	renewing := keeping
	if s.direct() {
		renewing.Client = &http.Client{Timeout: keeping.Client.Timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	}
	for worker, till := range []sandbox.Keruyun{keeping, renewing} {
		l.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%s%d-%d", l.prefix, worker, n)
				_, _, err := send(t.Context(), till, fenRequest(brandID, id))
				l.mu.Lock()
				l.sent++
				if err != nil {
					l.failures = append(l.failures, fmt.Errorf("%s: %s: %w", time.Now().Format(time.TimeOnly), id, err))
				}
				l.mu.Unlock()
				time.Sleep(250 * time.Millisecond) // within the rate that Zhimai allows
			}
		})
	}
	return l
}

// end ends the load. No request may have failed, and the vendor must have booked each
// of them once.
func (l *load) end(t *testing.T) {
	t.Helper()
	eventually(t, "there are enough redemptions to prove something", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sent < 8 {
			return fmt.Errorf("%d were sent", l.sent)
		}
		return nil
	})
	l.cancel()
	l.done.Wait()
	t.Logf("%d redemptions meanwhile, %d failed", l.sent, len(l.failures))
	if len(l.failures) > 0 {
		t.Errorf("of %d redemptions %d failed: %v", l.sent, len(l.failures), l.failures)
	}
	booked := map[string]int{}
	for _, e := range l.story.books(t) {
		// The connector's remark begins with our order number.
		order, _, _ := strings.Cut(e.Remark, " ")
		if id := strings.TrimPrefix(order, "T-"); e.Vendor == books.Zhimai && e.Kind == books.KindSpend && strings.HasPrefix(id, l.prefix) {
			booked[id]++
		}
	}
	for id, times := range booked {
		if times != 1 {
			t.Errorf("the vendor booked %s %d times", id, times)
		}
	}
	if len(booked) != l.sent {
		t.Errorf("the vendor booked %d redemptions of %d", len(booked), l.sent)
	}
}

// serves redeems once.
func (s *story) serves(t *testing.T, brand, brandID string) {
	t.Helper()
	s.loads++
	if _, _, err := send(t.Context(), s.till(t, brand, brandID), fenRequest(brandID, fmt.Sprintf("once-%s-%d", brandID, s.loads))); err != nil {
		t.Errorf("%s does not redeem: %v", brand, err)
	}
}

func fenRequest(brandID, bizID string) string {
	return fmt.Sprintf(`{"bizId":%q,"kryTransOrderNo":"T-%[1]s","kryPaymentNo":"P-%[1]s","kryMemberId":"1001","thirdMemberId":"1001",
		"memberAssetsVerificationList":[{"assetMappingId":"400001","assetId":"400001","verifyAmount":1,"verifyCnt":0}],
		"kryBrandId":%[2]q,"kryShopId":"8066287","operatorId":"1543"}`, bizID, brandID)
}
