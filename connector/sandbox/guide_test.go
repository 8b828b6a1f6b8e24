// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// TestTheGuideIsTrue holds the user's guide, in both languages, to the code:
// its configuration file works, and no kind of fault and no switch is missing.
func TestTheGuideIsTrue(t *testing.T) {
	switches := []string{
		"zhimai.token_keys", "zhimai.skew", "zhimai.nonce_reuse", "zhimai.duplicate_biz_id", "zhimai.returned_biz_id",
		"zhimai.reply_types", "zhimai.bill_order_no", "zhimai.bill_sign", "zhimai.shops", "zhimai.requests_per_second",
		"alsc.skew", "alsc.duplicate_request_id", "alsc.flow_not_found", "alsc.refund_scope", "alsc.requests_per_second",
	}
	for _, file := range []string{"sandbox.md", "sandbox.zh-CN.md"} {
		t.Run(file, func(t *testing.T) {
			raw, err := os.ReadFile("../../docs/guides/" + file)
			if err != nil {
				t.Fatal(err)
			}
			guide := string(raw)
			_, after, _ := strings.Cut(guide, "```yaml\n")
			block, _, _ := strings.Cut(after, "```")
			cfg, err := sandbox.ParseConfig([]byte(block))
			if err != nil {
				t.Fatal(err)
			}
			s, err := sandbox.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for _, k := range fault.Kinds {
				if !strings.Contains(guide, "`"+string(k)+"`") {
					t.Errorf("the fault %s is not in the guide", k)
				}
			}
			for _, k := range switches {
				if !strings.Contains(guide, "`"+k+"`") {
					t.Errorf("the switch %s is not in the guide", k)
				}
			}
			for _, account := range []string{"demo-open-id", "demo-open-key", "demo-grant", "12345678", "demo-app-secret"} {
				if !strings.Contains(guide, "`"+account+"`") {
					t.Errorf("the credential %s is not in the guide", account)
				}
			}
		})
	}
}
