// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job on one machine: the sandbox plays Keruyun, Zhimai
// and ALSC, and a connector that is configured by config/samples redeems between
// them. It ends by itself; with --keep it stays up and prints commands to try.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/hack/freeport"
)

// What config/samples/credentials.yaml holds for Keruyun.
const (
	keruyunSecret = "xiaowang-keruyun"
	brandID       = "11342"
)

func main() {
	keep := flag.Bool("keep", false, "stay up at the end and print commands to try")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is the stage: where the files are and where the processes listen.
type demo struct {
	dir                            string
	sandboxURL, connectorURL       string
	sandboxAddr, listen, adminAddr string
	appKey                         string
}

func run(ctx context.Context, keep bool) error {
	d := &demo{dir: ".demo"}
	if err := d.lay(); err != nil {
		return err
	}
	processes, err := d.start(ctx)
	defer func() {
		for i := len(processes) - 1; i >= 0; i-- {
			processes[i].stop()
		}
	}()
	if err != nil {
		return err
	}
	if err := d.play(ctx); err != nil {
		return err
	}
	if keep {
		d.invite()
		<-ctx.Done()
	}
	return nil
}

// lay writes the configuration: the samples, with the sandbox at this machine's
// address, and the Secrets as the files that a Pod would see.
func (d *demo) lay() error {
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	for _, address := range []*string{&d.sandboxAddr, &d.listen, &d.adminAddr} {
		var err error
		if *address, err = freeport.Find(); err != nil {
			return err
		}
	}
	d.sandboxURL, d.connectorURL = "http://"+d.sandboxAddr, "http://"+d.listen
	object, err := os.ReadFile("config/samples/xiaowang.yaml")
	if err != nil {
		return fmt.Errorf("run the demo from the root of the repository: %w", err)
	}
	object = bytes.ReplaceAll(object, []byte("http://hexiao-sandbox"), []byte(d.sandboxURL))
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "brand.yaml"), object, 0o600); err != nil {
		return err
	}
	return d.laySecrets()
}

func (d *demo) laySecrets() error {
	raw, err := os.ReadFile("config/samples/credentials.yaml")
	if err != nil {
		return err
	}
	for _, doc := range strings.Split(string(raw), "\n---\n") {
		var secret struct {
			Metadata   struct{ Name string }
			StringData map[string]string
		}
		if err := yaml.Unmarshal([]byte(doc), &secret); err != nil {
			return fmt.Errorf("config/samples/credentials.yaml: %w", err)
		}
		dir := filepath.Join(d.dir, "credentials", secret.Metadata.Name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for key, value := range secret.StringData {
			if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o600); err != nil {
				return err
			}
		}
		if secret.Metadata.Name == keruyunSecret {
			d.appKey = secret.StringData["appKey"]
		}
	}
	return nil
}

func (d *demo) start(ctx context.Context) ([]*process, error) {
	var all []*process
	for _, p := range []struct {
		name, probe string
		args        []string
	}{
		{"sandbox", d.sandboxURL + "/healthz", []string{"bin/hexiao-sandbox", "serve", "--listen", d.sandboxAddr}},
		{"connector", "http://" + d.adminAddr + "/readyz", append([]string{"bin/hexiao-connector", "serve", "--listen", d.listen,
			"--admin-listen", d.adminAddr, "--drain-delay", "0s"}, d.brandArgs()...)},
	} {
		started, err := startProcess(p.name, filepath.Join(d.dir, p.name+".log"), p.args)
		if err != nil {
			return all, err
		}
		all = append(all, started)
		if err := started.await(ctx, p.probe); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (d *demo) brandArgs() []string {
	return []string{"--config", filepath.Join(d.dir, "brand.yaml"), "--credentials-dir", filepath.Join(d.dir, "credentials"),
		"--ledger-path", filepath.Join(d.dir, "ledger.db")}
}

// process is a program that the demo started, and ends by its own process id.
type process struct {
	name, log string
	cmd       *exec.Cmd
	exited    chan error
}

func startProcess(name, log string, args []string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w (make build)", name, err)
	}
	p := &process{name: name, log: log, cmd: cmd, exited: make(chan error, 1)}
	go func() { p.exited <- cmd.Wait(); _ = out.Close() }()
	return p, nil
}

// await returns when the process answers its probe.
func (p *process) await(ctx context.Context, probe string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("the %s ended: %w; its log: %s", p.name, err, p.log)
		case <-ctx.Done():
			return fmt.Errorf("the %s does not answer %s; its log: %s", p.name, probe, p.log)
		case <-tick.C:
			if ok(ctx, probe) {
				return nil
			}
		}
	}
}

func ok(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	client := http.Client{Timeout: time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.exited:
		if err != nil {
			fmt.Fprintf(os.Stderr, "the %s ended: %v; its log: %s\n", p.name, err, p.log)
		}
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
	}
}

// play goes through the scenes; each checks what it shows.
func (d *demo) play(ctx context.Context) error {
	title("1. Keruyun's own sample request, byte for byte: 10.00 yuan of stored value at ALSC")
	reply, err := d.send(ctx, "request.json", true)
	if err != nil {
		return err
	}
	if err := printJSON(reply); err != nil {
		return err
	}
	title("2. One request over both vendors: stored value at ALSC; a coupon, 300 points and 25.50 yuan at Zhimai")
	fmt.Println("The vendors' books before:")
	if _, err := d.sandbox(ctx, "books", "net"); err != nil {
		return err
	}
	first, err := d.send(ctx, "request-both.json", true)
	if err != nil {
		return err
	}
	if err := printReply(first); err != nil {
		return err
	}
	after, err := d.showBooks(ctx, "after")
	if err != nil {
		return err
	}
	fmt.Println("\nWhat a support desk sees (hexiao-connector ledger show --order 2025121000002):")
	if _, err := d.connector(ctx, "ledger", "show", "--order", "2025121000002"); err != nil {
		return err
	}
	fmt.Println("\nThe trace, whose id is the reply's messageUuid:")
	if err := d.showTrace(ctx, first); err != nil {
		return err
	}
	title("3. The till repeats the request: the same answer, byte for byte, and nothing is deducted again")
	if err := d.repeat(ctx, first, after); err != nil {
		return err
	}
	title("4. A request that the vendor refuses: the member does not have 99,000.00 yuan")
	refused, err := d.send(ctx, "request-refused.json", false)
	if err != nil {
		return err
	}
	if err := printReply(refused); err != nil {
		return err
	}
	title("5. The ledger's hash chain")
	_, err = d.connector(ctx, "ledger", "verify")
	return err
}

func (d *demo) showBooks(ctx context.Context, when string) (string, error) {
	fmt.Printf("\nThe vendors' books %s:\n", when)
	return d.sandbox(ctx, "books", "list")
}

func (d *demo) repeat(ctx context.Context, first, books string) error {
	again, err := d.send(ctx, "request-both.json", true)
	if err != nil {
		return err
	}
	if again != first {
		return errors.New("the repeated answer differs from the first")
	}
	now, err := d.output(ctx, "bin/hexiao-sandbox", "books", "list", "--sandbox", d.sandboxURL)
	if err != nil {
		return err
	}
	if now != books {
		return fmt.Errorf("the repeat changed the vendors' books:\n%s", now)
	}
	fmt.Printf("  → the same %d bytes as above, messageUuid and all; the vendors' books are as they were\n", len(again))
	return nil
}

// showTrace waits for the spans, which the connector exports in batches.
func (d *demo) showTrace(ctx context.Context, reply string) error {
	var envelope struct{ MessageUUID string }
	if err := json.Unmarshal([]byte(reply), &envelope); err != nil {
		return fmt.Errorf("read the reply: %w", err)
	}
	args := []string{"traces", "--trace-id", envelope.MessageUUID}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		out, err := d.output(ctx, "bin/hexiao-sandbox", append(args, "--sandbox", d.sandboxURL)...)
		if err == nil && strings.Contains(out, "ledger.settle") && strings.Contains(out, "member-assets/verify") {
			fmt.Print(indent(out))
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the trace %s did not arrive whole: %w\n%s", envelope.MessageUUID, err, out)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// printJSON shows a whole reply.
func printJSON(reply string) error {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, []byte(reply), "", "  "); err != nil {
		return fmt.Errorf("the reply is not JSON: %w\n%s", err, reply)
	}
	fmt.Print(indent(pretty.String()))
	return nil
}

// printReply shows of a reply what differs from one to the next.
func printReply(reply string) error {
	var r struct {
		Code        int
		MessageUUID string
		Result      struct {
			SubCode, SubMsg string
			Success         bool
			Data            struct {
				FlowID                 string
				VerifyAssetsDetailList []struct {
					AssetMappingID, Status, ErrCode string
					VerifyTotalAmount               int64
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(reply), &r); err != nil {
		return fmt.Errorf("read the reply: %w\n%s", err, reply)
	}
	fmt.Printf("  code %d, success %t, subCode %s: %s\n", r.Code, r.Result.Success, r.Result.SubCode, r.Result.SubMsg)
	fmt.Printf("  flowId %s, messageUuid %s\n", r.Result.Data.FlowID, r.MessageUUID)
	for _, a := range r.Result.Data.VerifyAssetsDetailList {
		fmt.Printf("    asset %s: %s, %d fen, %s\n", a.AssetMappingID, a.Status, a.VerifyTotalAmount, a.ErrCode)
	}
	return nil
}

// send posts a sample request and returns the reply; it fails when the outcome is
// not the one that the scene is about.
func (d *demo) send(ctx context.Context, file string, success bool) (string, error) {
	args := []string{"send", "verify", "--raw", "--url", d.connectorURL, "--brand", brandID, "--app-key", d.appKey,
		"--token-file", filepath.Join(d.dir, "credentials", keruyunSecret, "token"), "--file", filepath.Join("config/samples", file)}
	fmt.Printf("\n$ hexiao-sandbox send verify --file config/samples/%s …\n", file)
	out, err := d.output(ctx, "bin/hexiao-sandbox", args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", err
	}
	if success != (err == nil) {
		return "", fmt.Errorf("%s: success is %t, the scene is about %t; the reply:\n%s", file, err == nil, success, out)
	}
	return strings.TrimSpace(out), nil
}

func (d *demo) sandbox(ctx context.Context, args ...string) (string, error) {
	return d.show(ctx, "bin/hexiao-sandbox", append(args, "--sandbox", d.sandboxURL)...)
}

func (d *demo) connector(ctx context.Context, args ...string) (string, error) {
	return d.show(ctx, "bin/hexiao-connector", append(args, d.brandArgs()...)...)
}

func (d *demo) show(ctx context.Context, program string, args ...string) (string, error) {
	out, err := d.output(ctx, program, args...)
	fmt.Print(indent(out))
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return out, nil
}

func (d *demo) output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		return stderr.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}

// invite prints what to try while everything is up.
func (d *demo) invite() {
	title("Everything stays up; Ctrl-C ends it. Try:")
	sign := fmt.Sprintf("bin/hexiao-sandbox sign verify --url %s --app-key %s --token-file %s/credentials/%s/token --file config/samples/request-both.json",
		d.connectorURL, d.appKey, d.dir, keruyunSecret)
	fmt.Printf(`
  # call the connector as Keruyun does
  curl -s -H 'Content-Type: application/json' --data-binary @config/samples/request-both.json "$(%s)"

  # what the vendors really took, and what they were asked
  curl -s %[2]s/sandbox/v1/books
  curl -s %[2]s/sandbox/v1/calls

  # let ALSC execute the next deduction and lose the answer
  bin/hexiao-sandbox faults add --sandbox %[2]s vendor=alsc kind=apply-then-hang count=1

  # the connector's metrics
  curl -s http://%[3]s/metrics | grep ^hexiao_

  # the ledger
  bin/hexiao-connector ledger show --order 2025121000002 %[4]s
`, sign, d.sandboxURL, d.adminAddr, strings.Join(d.brandArgs(), " "))
}

func title(s string) { fmt.Printf("\n\033[1m── %s\033[0m\n", s) }

func indent(s string) string {
	indented := "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ") + "\n"
	return strings.ReplaceAll(indented, "\n  \n", "\n\n")
}
