// SPDX-License-Identifier: Apache-2.0

package reasons_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/hack/docs/reasons"
)

const source = `package v1alpha1

const (
	// ConditionReady is True when it serves.
	//
	// On class: True when all
	// of its brands serve.
	ConditionReady = "Ready"
	// ConditionStalled says that somebody
	// has to act.
	ConditionStalled = "Stalled"
)

const (
	// ReasonGone is of a thing that is
	// not there.
	//
	// On: Ready=False Stalled=True
	// On class: Ready=False
	// Do: bring it back;
	// it is seen at once.
	ReasonGone = "Gone"
)

// ReasonBack says that a thing is there
// again.
//
// On: Ready=True
// Do: nothing.
const ReasonBack = "Back"

// Other constants are no reasons.
const KeyThing = "thing"
`

func TestADocCommentSaysWhatAReasonMeansWhereItStandsAndWhatToDo(t *testing.T) {
	conditions, all, err := reasons.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	wantConditions := []reasons.Condition{{Name: "Ready", Meaning: "True when it serves.", OnClass: "True when all of its brands serve."}, {Name: "Stalled", Meaning: "somebody has to act."}}
	if diff := cmp.Diff(wantConditions, conditions); diff != "" {
		t.Fatalf("conditions (-want +got):\n%s", diff)
	}
	var said []string
	for _, c := range conditions {
		said = append(said, c.MeaningOn(reasons.Brand), c.MeaningOn(reasons.Class))
	}
	if diff := cmp.Diff([]string{"True when it serves.", "True when all of its brands serve.", "somebody has to act.", "somebody has to act."}, said); diff != "" {
		t.Errorf("on a brand and on a class (-want +got):\n%s", diff)
	}
	want := []reasons.Reason{{
		Name: "Gone", Meaning: "of a thing that is not there.", Remedy: "bring it back; it is seen at once.",
		Places: []reasons.Place{{reasons.Brand, "Ready", "False"}, {reasons.Brand, "Stalled", "True"}, {reasons.Class, "Ready", "False"}},
	}, {
		Name: "Back", Meaning: "a thing is there again.", Remedy: "nothing.", Places: []reasons.Place{{reasons.Brand, "Ready", "True"}},
	}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestWhatTheTableWouldLackIsAnError(t *testing.T) {
	tests := map[string]struct{ was, is, want string }{
		"a reason without a comment": {"// ReasonGone is of a thing that is\n\t// not there.\n\t//\n\t// On: Ready=False Stalled=True\n\t// On class: Ready=False\n\t// Do: bring it back;\n\t// it is seen at once.\n\t",
			"", "ReasonGone has no doc comment"},
		"a comment that begins otherwise":  {"// ReasonGone is", "// Gone is", "ReasonGone has no doc comment"},
		"a reason without a remedy":        {"// Do: bring it back;\n\t// it is seen at once.\n", "//\n", `ReasonGone has no line "Do: …"`},
		"an empty remedy":                  {"Do: bring it back;\n\t// it is seen at once.", "Do:", `ReasonGone has no line "Do: …"`},
		"a reason that stands nowhere":     {"// On: Ready=False Stalled=True\n\t// On class: Ready=False\n", "//\n", `ReasonGone has no line such as "On:`},
		"a status that there is not":       {"Ready=False Stalled", "Ready=Maybe Stalled", `"Ready=Maybe" is not of the form`},
		"a condition that there is not":    {"Ready=False Stalled", "Redy=False Stalled", "stands on Redy, which is no condition"},
		"a place twice":                    {"Ready=False Stalled=True", "Ready=False Ready=False Stalled=True", "stands on Ready=False twice"},
		"a condition without a comment":    {"\t// ConditionReady is True when it serves.\n\t//\n", "", "ConditionReady has no doc comment"},
		"a condition without any reason":   {" Stalled=True", "", "the condition Stalled has no reason"},
		"two constants for the one reason": {"// Other", "// ReasonGoneToo is.\n//\n// On: Ready=False\n// Do: x.\nconst ReasonGoneToo = \"Gone\"\n\n// Other", "two constants are the reason Gone"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(source, tc.was, tc.is, 1)
			if changed == source {
				t.Fatal("the case changes nothing")
			}
			if _, _, err := reasons.Parse(changed); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}
