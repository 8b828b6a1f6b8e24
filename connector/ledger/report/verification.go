// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"

	"github.com/hexiao-dev/hexiao/connector/ledger"
)

// Verification renders what ledger.Verify found.
func Verification(w io.Writer, brandID string, r ledger.Report, s Style) error {
	p := &printer{Style: s}
	if r.Break != nil {
		p.line("", "BROKEN: brand %s: %s", brandID, oneLine(r.Break.String()))
		p.line("", "This is the first place that is not as the connector wrote it; checked before it: %s.", Progress(r))
		p.line("", "Keep a copy of the database as it is now, and find out who else writes to it.")
	} else {
		p.line("", "intact: brand %s: %s", brandID, Progress(r))
		if r.Unsealed > 0 {
			p.line("", "%s not sealed yet: each one's own chain was checked, but a missing one would not be noticed.", count(r.Unsealed, "redemption"))
		}
		if r.Head.No > 0 {
			p.line("", "newest seal: %d of %s, %x", r.Head.No, p.zoned(r.Head.At), r.Head.Hash)
		}
	}
	_, err := w.Write(p.Bytes())
	return err
}

// Progress says how much was checked.
func Progress(r ledger.Report) string {
	return fmt.Sprintf("%s, %s, %s, %s", count(r.Redemptions, "redemption"), count(r.Events, "event"), count(r.Seals, "seal"), count(r.Tombstones, "tombstone"))
}
