// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The sub-commands of tools that are not ours, as far as pages may use them.
var tools = map[string][]string{
	"kubectl": {"annotate", "api-resources", "apply", "auth", "config", "cp", "create", "delete", "describe", "diff", "edit", "events", "exec", "explain",
		"get", "hexiao", "kustomize", "label", "logs", "patch", "port-forward", "rollout", "run", "scale", "top", "version", "wait"},
	"helm": {"diff", "get", "history", "install", "lint", "list", "rollback", "show", "status", "template", "test", "uninstall", "upgrade"},
	"flux": {"reconcile", "get", "resume", "suspend"},
}

// The programs of the repository, by the name of their binary, and their packages.
var programs = map[string]string{
	"hexiao-connector": "./cmd/connector",
	"hexiao-sandbox":   "./cmd/sandbox",
	"hexiao-manager":   "./cmd/manager",
	"kubectl-hexiao":   "./cmd/kubectl-hexiao",
}

// node is a command with what its help lists.
type node struct {
	subcommands map[string]*node
	flags       map[string]bool // whether it takes a value
}

// build builds the programs and reads the help of each of their commands.
func build(t *testing.T) map[string]*node {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-o", dir}
	for _, p := range programs {
		args = append(args, p)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	trees := map[string]*node{}
	for name, pkg := range programs {
		trees[name] = help(t, filepath.Join(dir, path.Base(pkg)))
	}
	return trees
}

var (
	listedCommand = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) +\S`)
	listedFlag    = regexp.MustCompile(`(?m)^ +(?:-([A-Za-z]), )?--([a-z0-9-]+)(?: ([A-Za-z]+))?(?:$| {2,}|\[)`)
)

func help(t *testing.T, program string, args ...string) *node {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append(args, "--help")...)
	cmd.Env = append(os.Environ(), "COLUMNS=1000")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v --help: %v\n%s", program, args, err, out)
	}
	n := &node{subcommands: map[string]*node{}, flags: map[string]bool{}}
	_, usage, _ := strings.Cut(string(out), "\nUsage:\n")
	for _, m := range listedFlag.FindAllStringSubmatch(usage, -1) {
		n.flags["--"+m[2]] = m[3] != ""
		if m[1] != "" {
			n.flags["-"+m[1]] = m[3] != ""
		}
	}
	_, list, _ := strings.Cut(usage, "\nAvailable Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range listedCommand.FindAllStringSubmatch(list, -1) {
		if m[1] != "help" && m[1] != "completion" {
			n.subcommands[m[1]] = help(t, program, append(args[:len(args):len(args)], m[1])...)
		}
	}
	return n
}

// commands splits shell text into commands, and those into words. Substitutions become
// commands of their own; quotes are taken off.
func commands(text string) [][]string {
	p := &shell{text: []rune(strings.ReplaceAll(text, "\\\n", " "))}
	p.list(0)
	return p.done
}

type shell struct {
	text []rune
	at   int
	done [][]string
}

// list reads commands until the closing rune, or to the end.
func (p *shell) list(closing rune) {
	var cmd []string
	word, started := "", false
	endWord := func() {
		if started {
			cmd = append(cmd, word)
		}
		word, started = "", false
	}
	endCommand := func() {
		endWord()
		if len(cmd) > 0 {
			p.done = append(p.done, cmd)
		}
		cmd = nil
	}
	defer endCommand()
	quote := rune(0)
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		next := rune(0)
		if p.at+1 < len(p.text) {
			next = p.text[p.at+1]
		}
		switch {
		case quote != '\'' && c == '$' && next == '(':
			p.at += 2
			p.list(')')
			word, started = word+"…", true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word += string(c)
		case c == '\'' || c == '"':
			quote, started = c, true
		case c == closing:
			return
		case c == '#' && !started:
			for p.at+1 < len(p.text) && p.text[p.at+1] != '\n' {
				p.at++
			}
		case strings.ContainsRune("\n;|&()", c):
			endCommand()
		case c == ' ' || c == '\t':
			endWord()
		default:
			word, started = word+string(c), true
		}
	}
}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	ourPath    = regexp.MustCompile(`^(?:\./)?((?:api|charts|cmd|config|connector|controllers|docs|hack)/[A-Za-z0-9_./-]+)$`)
)

// checker says what is wrong with a command.
type checker struct {
	trees   map[string]*node
	targets []string // of the Makefile
}

func (c *checker) check(words []string) []string {
	for len(words) > 0 && (assignment.MatchString(words[0]) || slices.Contains([]string{"exec", "eval", "sudo", "time"}, words[0])) {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	problems := c.paths(words)
	program, args := path.Base(words[0]), words[1:]
	switch {
	case program == "make":
		for _, a := range args {
			if !assignment.MatchString(a) && !slices.Contains(c.targets, a) {
				problems = append(problems, "the Makefile has no target "+a)
			}
		}
	case c.trees[program] != nil:
		problems = append(problems, walk(program, c.trees[program], args)...)
	case tools[program] != nil:
		verb, rest := verbOf(args)
		switch {
		case verb == "hexiao":
			problems = append(problems, walk("kubectl hexiao", c.trees["kubectl-hexiao"], rest)...)
		case !slices.Contains(tools[program], verb):
			problems = append(problems, fmt.Sprintf("%s has no command %q that this test knows", program, verb))
		case slices.Contains(rest, "--"):
			problems = append(problems, c.check(rest[slices.Index(rest, "--")+1:])...)
		}
	case slices.Contains(args, "--"):
		problems = append(problems, c.check(args[slices.Index(args, "--")+1:])...)
	}
	return problems
}

// paths of the repository that a command names must be there.
func (c *checker) paths(words []string) []string {
	var problems []string
	for _, w := range words {
		_, value, _ := strings.Cut(w, "=")
		for _, candidate := range []string{w, value} {
			m := ourPath.FindStringSubmatch(strings.TrimSuffix(candidate, "/..."))
			if m == nil {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				problems = append(problems, "there is no "+m[1])
			}
		}
	}
	return problems
}

// verbOf is the first word that is no flag and no flag's value.
func verbOf(args []string) (verb string, rest []string) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case slices.Contains([]string{"-n", "--namespace", "--context", "--kubeconfig", "--as"}, a):
			i++
		case !strings.HasPrefix(a, "-"):
			return a, args[i+1:]
		}
	}
	return "", nil
}

// walk follows a command line down a program's tree of commands.
func walk(name string, n *node, args []string) []string {
	var problems []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		flag, _, hasValue := strings.Cut(a, "=")
		switch takes, known := n.flags[flag]; {
		case a == "…" || a == "...":
		case known:
			if takes && !hasValue {
				i++
			}
		case strings.HasPrefix(a, "-") && len(a) > 1 && flag != "--help" && flag != "--version":
			problems = append(problems, fmt.Sprintf("%s has no flag %s", name, flag))
		case strings.HasPrefix(a, "-") || strings.HasPrefix(a, ">") || strings.HasPrefix(a, "<"):
		case n.subcommands[a] != nil:
			name, n = name+" "+a, n.subcommands[a]
		case len(n.subcommands) > 0 && a != "completion" && a != "help" && a != "__complete":
			return append(problems, fmt.Sprintf("%s has no command %q", name, a))
		case len(n.subcommands) > 0:
			return problems
		}
	}
	return problems
}

func isShell(b block) bool {
	return slices.Contains([]string{"sh", "bash", "shell", "console"}, b.language)
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	c := &checker{trees: build(t)}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		c.targets = append(c.targets, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^PROGRAMS := (.*)$`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		for _, p := range strings.Fields(m[1]) {
			c.targets = append(c.targets, "build-"+p, "image-"+p)
		}
	}
	return c
}

func TestEveryCommandThatIsShownExists(t *testing.T) {
	c := newChecker(t)
	seen := map[string]bool{}
	for name, page := range pages(t) {
		_, blocks := split(page)
		for _, b := range blocks {
			if !isShell(b) {
				continue
			}
			for _, words := range commands(b.text) {
				seen[path.Base(words[0])] = true
				for _, problem := range c.check(words) {
					t.Errorf("%s, block at line %d: %s: %s", name, b.line, strings.Join(words, " "), problem)
				}
			}
		}
	}
	for _, program := range []string{"make", "helm", "kubectl", "hexiao-connector", "hexiao-sandbox"} {
		if !seen[program] {
			t.Errorf("no page shows %s: the test finds no commands", program)
		}
	}

	for line, want := range map[string]string{
		"hexiao-connector ledger prune":                                        `hexiao-connector ledger has no command "prune"`,
		"hexiao-connector ledger show … --ordr 1":                              "hexiao-connector ledger show has no flag --ordr",
		"kubectl -n brands exec deploy/x -- /hexiao-connector ledgr":           `hexiao-connector has no command "ledgr"`,
		"kubectl -n brands hexiao in-doubt decide x 1":                         `kubectl hexiao in-doubt has no command "decide"`,
		"kubectl remove bc/x":                                                  `kubectl has no command "remove" that this test knows`,
		"make demos":                                                           "the Makefile has no target demos",
		"kubectl apply -f config/samples/gone.yaml":                            "there is no config/samples/gone.yaml",
		"A=$(hack/gone) true":                                                  "there is no hack/gone",
		"hexiao-connector ledger show --order 1 --output json && kubectl wait": "",
		"hexiao-sandbox send verify --url http://x | jq '.a | .b'":             "",
	} {
		var got []string
		for _, words := range commands(line) {
			got = append(got, c.check(words)...)
		}
		if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestShellTextIsSplitIntoCommands(t *testing.T) {
	got := commands("a -x 'b c' \\\n  d # e\nf=$(g \"$(h i)\" | j) k && l; m -o jsonpath='{range .x[*]}{.y}'\n# n\nenv \"o#p\"")
	want := [][]string{{"a", "-x", "b c", "d"}, {"h", "i"}, {"g", "…"}, {"j"}, {"f=…", "k"}, {"l"},
		{"m", "-o", "jsonpath={range .x[*]}{.y}"}, {"env", "o#p"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// shown are the commands of a page's shell blocks.
func shown(page string) [][]string {
	_, blocks := split(page)
	var all [][]string
	for _, b := range blocks {
		if isShell(b) {
			all = append(all, commands(b.text)...)
		}
	}
	return all
}

func TestATranslationShowsTheSameCommands(t *testing.T) {
	all := pages(t)
	for name, page := range all {
		original, ok := strings.CutSuffix(name, ".zh-CN.md")
		if !ok {
			continue
		}
		if all[original+".md"] == "" {
			t.Errorf("%s translates no page", name)
		}
		if diff := cmp.Diff(shown(all[original+".md"]), shown(page)); diff != "" {
			t.Errorf("%s.md and %s show different commands (-original +translation):\n%s", original, name, diff)
		}
	}
}
