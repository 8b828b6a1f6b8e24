// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

var (
	yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	ownObject = regexp.MustCompile(`(?m)^apiVersion: connect\.hexiao\.dev/v1alpha1$`)
)

// TestTheObjectsOfGuidesAndSamplesAreValid: what a page shows whole is copied whole.
func TestTheObjectsOfGuidesAndSamplesAreValid(t *testing.T) {
	found := map[string]int{}
	judge := func(file, text string) {
		for doc := range strings.SplitSeq(text, "\n---\n") {
			var object checked
			switch {
			case !ownObject.MatchString(doc): // one of another kind may quote one of ours
				continue
			case strings.Contains(doc, "\nkind: "+v1alpha1.KindConnectorClass+"\n"):
				object = &v1alpha1.ConnectorClass{}
			default:
				object = &v1alpha1.BrandConnector{}
			}
			found[file]++
			if err := v1alpha1.Decode([]byte(doc), object); err != nil {
				t.Errorf("%s: %v in\n%s", file, err, doc)
				continue
			}
			object.Default()
			if errs := object.Validate(); len(errs) > 0 {
				t.Errorf("%s: %v in\n%s", file, errs.ToAggregate(), doc)
			}
		}
	}
	for pattern, read := range map[string]func(file, text string){
		"../../docs/guides/*.md": func(file, text string) {
			for _, block := range yamlBlock.FindAllStringSubmatch(text, -1) {
				judge(file, block[1])
			}
		},
		"../../config/samples/*.yaml": judge,
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			read(filepath.Base(file), string(raw))
		}
	}
	for _, file := range []string{"connect-a-brand.md", "connect-a-brand.zh-CN.md", "classes.md", "xiaowang.yaml", "connectorclass.yaml"} {
		if found[file] == 0 {
			t.Errorf("%s shows no whole object", file)
		}
	}
}
