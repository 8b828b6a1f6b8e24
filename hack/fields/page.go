// SPDX-License-Identifier: Apache-2.0

package fields

import (
	"fmt"
	"strings"
)

// Page renders docs/reference/fields.md.
func Page() (string, error) {
	var b strings.Builder
	b.WriteString(`# Fields

Every field that crosses a border: of the member SPIs that Keruyun calls, and of the vendors' methods that the connector calls; where
it goes to or comes from, and in which unit. Made by ` + "`go test ./hack/fields -update`" + ` from a table that a test holds against the source: a field
without a row fails it.

Names in the second column are fields of the other side, or of the BrandConnector (` + "`spec.…`" + `). The *upstream key* is
a function of brand, action, bizId and leg, the same for ever.
`)
	for _, s := range Sections {
		rows, err := s.Rows()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n\n| field | where it goes, or comes from | unit |\n| --- | --- | --- |\n", s.Title)
		for _, r := range rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Field, r.Where, r.Unit)
		}
	}
	return b.String(), nil
}
