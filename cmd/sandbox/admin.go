// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/cmd/internal/group"
	"github.com/hexiao-dev/hexiao/cmd/internal/nearest"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// remote is a running sandbox as the sub-commands reach it.
type remote struct {
	admin  sandbox.Admin
	output string
}

// command makes a sub-command that talks to a running sandbox.
func (r *remote) command(use, short string, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args, RunE: run}
	cmd.Flags().StringVar(&r.admin.BaseURL, "sandbox", "http://127.0.0.1:18080", "the running sandbox")
	return cmd
}

// show calls the administration and prints the answer as indented JSON.
func (r *remote) show(cmd *cobra.Command, method, path string, in any) error {
	var raw []byte
	if err := r.admin.Do(cmd.Context(), method, path, in, &raw); err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), raw, false)
}

// document reads YAML or JSON from a file or standard input.
func document(cmd *cobra.Command, name string) (json.RawMessage, error) {
	raw, err := readFile(cmd, name)
	if err != nil {
		return nil, err
	}
	out, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

func adminCommands() []*cobra.Command {
	r := &remote{}
	return []*cobra.Command{
		r.members(), r.books(), r.faults(), r.calls(), r.deliveries(), r.traces(),
		r.reset(),
	}
}

func (r *remote) members() *cobra.Command {
	var vendor, file string
	list := r.command("list", "List members", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return r.show(cmd, http.MethodGet, "/members?vendor="+url.QueryEscape(vendor), nil)
	})
	list.Flags().StringVar(&vendor, "vendor", "", "zhimai or alsc (default: both)")
	get := r.command("get VENDOR ID", "Show one member", cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
		return r.show(cmd, http.MethodGet, "/members/"+url.PathEscape(args[0])+"/"+url.PathEscape(args[1]), nil)
	})
	put := r.command("put", "Create or replace members from YAML or JSON", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		doc, err := document(cmd, file)
		if err != nil {
			return err
		}
		return r.show(cmd, http.MethodPost, "/members", doc)
	})
	put.Flags().StringVarP(&file, "file", "f", "-", "one member or a list of them, - for standard input")
	return group.Of(&cobra.Command{Use: "members", Short: "See and seed the vendors' members"}, list, get, put)
}

func (r *remote) books() *cobra.Command {
	var f books.Filter
	filter := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().StringVar((*string)(&f.Vendor), "vendor", "", "zhimai or alsc (default: both)")
		cmd.Flags().StringVar(&f.Key, "key", "", "the call's key at the vendor: ALSC's outer_order_id, Zhimai's bizId (not the till's)")
		cmd.Flags().StringVar(&f.Member, "member", "", "member id")
		cmd.Flags().StringVarP(&r.output, "output", "o", "table", "table or json")
		return cmd
	}
	list := filter(r.command("list", "List the entries", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		entries, err := r.admin.Entries(cmd.Context(), f)
		if err != nil {
			return err
		}
		if r.output == "json" {
			return encode(cmd, entries)
		}
		return entryTable(cmd, entries)
	}))
	net := filter(r.command("net", "What each order cost in the end", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		nets, err := r.admin.Nets(cmd.Context(), f)
		if err != nil {
			return err
		}
		if r.output == "json" {
			return encode(cmd, nets)
		}
		return netTable(cmd, nets)
	}))
	return group.Of(&cobra.Command{
		Use: "books", Short: "Read what was really taken and given back",
		Long: `Reads what the vendors booked, whatever anybody was told.

Each entry stands under the key that the vendor knows the call by: ALSC's outer_order_id or
Zhimai's bizId. It is the connector's own, not the till's bizId; "hexiao-connector ledger show"
has it as the key at the vendor.`,
		Example: `  hexiao-sandbox books net    # SPENDS of 2 is a member charged twice
  hexiao-sandbox books list --key HXB4HNIXCCZXLWDZG4WUO373KWVV
  hexiao-sandbox books list --vendor alsc --member 1001 --output json
  hexiao-sandbox books plant --vendor zhimai --key 20250099 --member 1001 --extra-fen 500`,
	}, list, net, r.plant())
}

func (r *remote) plant() *cobra.Command {
	var p sandbox.Plant
	var show string
	cmd := r.command("plant", "Plant a difference for a reconciliation to find", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if show != "" {
			n, err := strconv.ParseInt(show, 10, 64)
			if err != nil {
				return fmt.Errorf("--show-fen: %q is not an integer", show)
			}
			p.ShowFen = &n
		}
		return r.show(cmd, http.MethodPost, "/books/plant", p)
	})
	cmd.Example = `  # "hexiao-connector reconcile" finds a spend that the ledger does not have
  hexiao-sandbox books plant --vendor zhimai --key 20250099 --member 1001 --extra-fen 500

  # and, of one that it has, another amount, or nothing
  hexiao-sandbox books plant --vendor zhimai --key 20250099 --show-fen 400
  hexiao-sandbox books plant --vendor zhimai --key 20250099 --hide`
	f := cmd.Flags()
	f.StringVar((*string)(&p.Vendor), "vendor", "", "zhimai or alsc")
	f.StringVar(&p.Key, "key", "", "the call's key at the vendor: ALSC's outer_order_id, Zhimai's bizId (not the till's)")
	f.BoolVar(&p.Hide, "hide", false, "leave the entries out of look-ups")
	f.StringVar(&show, "show-fen", "", "amount that look-ups show, fen")
	f.Int64Var(&p.ExtraFen, "extra-fen", 0, "book a spend that nobody asked for, fen")
	f.StringVar(&p.Member, "member", "", "member of --extra-fen")
	return cmd
}

func encode(cmd *cobra.Command, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), raw, false)
}

func entryTable(cmd *cobra.Command, entries []books.Entry) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	row(w, "SEQ", "TIME", "VENDOR", "KIND", "KEY", "MEMBER", "FEN", "REAL", "GIFT", "PRE", "POINTS", "COUPONS", "REVERSES")
	for _, e := range entries {
		row(w, e.Seq, e.Time.Format("15:04:05.000"), e.Vendor, e.Kind, e.Key, e.Member, e.AmountFen,
			e.Split.Real, e.Split.Gift, e.Split.Pre, e.Points, strings.Join(e.Coupons, ","), e.Reverses)
	}
	return w.Flush()
}

func netTable(cmd *cobra.Command, nets []books.Net) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	row(w, "VENDOR", "KEY", "MEMBER", "SPENDS", "REVERSALS", "NET FEN", "NET POINTS", "NET COUPONS")
	for _, n := range nets {
		row(w, n.Vendor, n.Key, n.Member, n.Spends, n.Reversals, n.NetFen, n.NetPoints, n.NetCoupon)
	}
	return w.Flush()
}

// row writes cells; a failed write shows at Flush.
func row(w *tabwriter.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	_, _ = fmt.Fprintln(w, strings.Join(texts, "\t"))
}

func (r *remote) faults() *cobra.Command {
	var file string
	list := r.command("list", "List the rules and how often they fired", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return r.show(cmd, http.MethodGet, "/faults", nil)
	})
	add := r.command("add [FIELD=VALUE…]", "Append a rule from fields, or rules from a file", cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
		rule, err := ruleFrom(cmd, file, args)
		if err != nil {
			return err
		}
		return r.show(cmd, http.MethodPost, "/faults", rule)
	})
	add.Example = `  hexiao-sandbox faults add kind=apply-then-hang vendor=alsc count=1
  hexiao-sandbox faults add kind=rate-limit seconds=3 probability=0.05
  hexiao-sandbox faults add --file rules.yaml`
	add.Flags().StringVarP(&file, "file", "f", "", "one rule or a list of them as YAML or JSON, - for standard input")
	clear := r.command("clear", "Remove all rules", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return r.show(cmd, http.MethodDelete, "/faults", nil)
	})
	remove := r.command("remove ID", "Remove one rule", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return r.show(cmd, http.MethodDelete, "/faults/"+url.PathEscape(args[0]), nil)
	})
	var mode string
	down := r.command("down VENDOR", "Take a vendor off the network", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return r.show(cmd, http.MethodPut, "/down", sandbox.Down{Vendor: books.Vendor(args[0]), Mode: sandbox.DownMode(mode)})
	})
	down.Flags().StringVar(&mode, "mode", string(sandbox.Refuse), "refuse or reset")
	up := r.command("up VENDOR", "Bring a vendor back", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return r.show(cmd, http.MethodPut, "/down", sandbox.Down{Vendor: books.Vendor(args[0])})
	})
	return group.Of(&cobra.Command{Use: "faults", Short: "Let calls meet a misfortune"}, list, add, remove, clear, down, up)
}

// ruleFrom reads a document, or builds one object from field=value pairs.
func ruleFrom(cmd *cobra.Command, file string, pairs []string) (json.RawMessage, error) {
	if file != "" {
		return document(cmd, file)
	}
	if len(pairs) == 0 {
		return nil, errors.New("give the rule as field=value pairs, such as kind=refuse, or with --file")
	}
	fields := ruleFields()
	rule := map[string]json.RawMessage{}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not field=value", p)
		}
		text, known := fields[name]
		if !known {
			return nil, noSuchField(name, slices.Sorted(maps.Keys(fields)))
		}
		raw := json.RawMessage(value)
		if text {
			raw, _ = json.Marshal(value) // a text always encodes
		}
		if !json.Valid(raw) {
			return nil, fmt.Errorf("%s: %q is neither a number nor true or false", name, value)
		}
		rule[name] = raw
	}
	return json.Marshal(rule)
}

// ruleFields are the fields of a rule, and whether JSON writes them as text.
func ruleFields() map[string]bool {
	fields := map[string]bool{}
	for f := range reflect.TypeFor[fault.Rule]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = f.Type.Kind() == reflect.String || f.Type == reflect.TypeFor[fault.Duration]()
	}
	return fields
}

func noSuchField(name string, fields []string) error {
	hint := "the"
	if meant := nearest.Name(name, fields, 2); meant != "" {
		hint = fmt.Sprintf("did you mean %s? The", meant)
	}
	return fmt.Errorf("there is no field %q: %s fields are %s", name, hint, strings.Join(fields, ", "))
}

func (r *remote) calls() *cobra.Command {
	var f sandbox.CallFilter
	cmd := r.command("calls", "Show the calls that the vendors received, as they came", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		calls, err := r.admin.Calls(cmd.Context(), f)
		if err != nil {
			return err
		}
		return encode(cmd, calls)
	})
	cmd.Example = `  hexiao-sandbox calls --key HXB4HNIXCCZXLWDZG4WUO373KWVV   # as "books net" and the ledger have it
  hexiao-sandbox calls --vendor alsc --limit 1   # the newest at ALSC
  hexiao-sandbox calls --fault any --limit 0     # every call that met a fault`
	cmd.Flags().StringVar((*string)(&f.Vendor), "vendor", "", "zhimai or alsc (default: both)")
	cmd.Flags().StringVar(&f.Key, "key", "", "the call's key at the vendor: ALSC's outer_order_id, Zhimai's bizId (not the till's)")
	cmd.Flags().StringVar(&f.Fault, "fault", "", `id of the rule that fired, or "any"`)
	cmd.Flags().IntVar(&f.Limit, "limit", 20, "the newest so many, 0 for all")
	return cmd
}

func (r *remote) deliveries() *cobra.Command {
	var all bool
	cmd := r.command("deliveries", "Show keys that arrived or were booked more than once", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return r.show(cmd, http.MethodGet, "/deliveries?repeated="+strconv.FormatBool(!all), nil)
	})
	cmd.Flags().BoolVar(&all, "all", false, "show all keys")
	return cmd
}

func (r *remote) traces() *cobra.Command {
	var id, root string
	var all bool
	cmd := r.command("traces", "Show a trace as a tree, or list the traces", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if id == "" && root == "" {
			return r.show(cmd, http.MethodGet, "/traces", nil)
		}
		q := url.Values{"format": {"text"}, "trace_id": {id}, "root": {root}, "all": {strconv.FormatBool(all)}}
		var raw []byte
		if err := r.admin.Do(cmd.Context(), http.MethodGet, "/traces?"+q.Encode(), nil, &raw); err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), raw, true)
	})
	cmd.Flags().StringVar(&id, "trace-id", "", "the trace, as the messageUuid of a reply names it")
	cmd.Flags().StringVar(&root, "root", "", "the newest trace whose root's name contains this")
	cmd.Flags().BoolVar(&all, "all", false, "show every attribute")
	return cmd
}

func (r *remote) reset() *cobra.Command {
	var q sandbox.ResetRequest
	cmd := r.command("reset", "Forget entries, calls, faults, spans and members", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return r.show(cmd, http.MethodPost, "/reset", q)
	})
	cmd.Flags().BoolVar(&q.KeepMembers, "keep-members", false, "keep the members with the balances that they have")
	return cmd
}
