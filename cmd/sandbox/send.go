// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
)

type keruyunOptions struct {
	kry       sandbox.Keruyun
	signing   string
	tokenFile string
	file      string
	timeout   time.Duration
	headers   []string
	raw       bool
}

func (o *keruyunOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.kry.BaseURL, "url", "http://127.0.0.1:8080", "the connector")
	f.StringVar(&o.kry.AppKey, "app-key", "", "Keruyun appKey")
	f.StringVar(&o.kry.Token, "token", os.Getenv("HEXIAO_KERUYUN_TOKEN"), "Keruyun brand token (default: $HEXIAO_KERUYUN_TOKEN)")
	f.StringVar(&o.tokenFile, "token-file", "", "file that holds the token")
	f.StringVar(&o.kry.BrandID, "brand", "11342", "brandId of the query")
	f.StringVar(&o.kry.PathBrandID, "path-brand", "", "brand in the path (default: --brand)")
	f.StringVar(&o.signing, "signing", string(sandbox.V2), "v1, v2 or v2-no-literal")
	f.BoolVar(&o.kry.Millis, "millis", false, "send the timestamp in milliseconds")
	f.StringVarP(&o.file, "file", "f", "-", "request body, - for standard input")
	// The default would be shown with --help.
	cmd.Flags().Lookup("token").DefValue = ""
}

// prepare completes the client and reads the body.
func (o *keruyunOptions) prepare(cmd *cobra.Command) (body []byte, err error) {
	o.kry.Signing = sandbox.Signing(o.signing)
	if o.tokenFile != "" {
		raw, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		o.kry.Token = strings.TrimSpace(string(raw))
	}
	if o.kry.AppKey == "" {
		return nil, fmt.Errorf("--app-key must be given")
	}
	if o.kry.Token == "" {
		return nil, fmt.Errorf("--token, --token-file or HEXIAO_KERUYUN_TOKEN must be given")
	}
	return readFile(cmd, o.file)
}

func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}

// spiPath turns the name of an interface into its path.
func spiPath(name string) string {
	switch name {
	case "verify":
		return sandbox.VerifyPath
	case "query":
		return sandbox.QueryPath
	case "reverse":
		return sandbox.ReversePath
	case "result":
		return sandbox.ResultPath
	}
	return name
}

func signCommand() *cobra.Command {
	o := &keruyunOptions{}
	cmd := &cobra.Command{
		Use:   "sign verify|query|reverse|result|PATH",
		Short: "Print the signed URL of a Keruyun call",
		Long: `Signs the body as it is, byte for byte, and prints the URL to post it to. The
time is signed, too: a connector takes the URL for 300 seconds.`,
		Example: `  hexiao-sandbox sign verify --app-key demo-kry-app-key --token demo-kry-brand-token --file request.json
  hexiao-sandbox sign query --app-key demo-kry-app-key --token-file token --brand 11342 --file query.json --signing v1

  # call with it
  URL=$(hexiao-sandbox sign verify --app-key demo-kry-app-key --token demo-kry-brand-token --file request.json)
  curl -H 'Content-Type: application/json' --data-binary @request.json "$URL"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := o.prepare(cmd)
			if err != nil {
				return err
			}
			u, err := o.kry.URL(spiPath(args[0]), body)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), u)
			return err
		},
	}
	o.flags(cmd)
	return cmd
}

func sendCommand() *cobra.Command {
	o := &keruyunOptions{}
	cmd := &cobra.Command{
		Use:   "send verify|query|reverse|result|PATH",
		Short: "Call a connector as Keruyun's point of sale does",
		Long: `Signs the body as it is, byte for byte, posts it and prints the reply. The exit
status is 0 when the reply is Keruyun's envelope with code 0 and success true.`,
		Example: `  hexiao-sandbox send verify --url http://127.0.0.1:8080 --brand 11342 \
    --app-key K --token T --file request.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return send(cmd, o, args[0]) },
	}
	o.flags(cmd)
	cmd.Flags().DurationVar(&o.timeout, "timeout", 10*time.Second, "how long to wait for the reply")
	cmd.Flags().StringArrayVarP(&o.headers, "header", "H", nil, `one more header, "Name: value"; may be repeated`)
	cmd.Flags().BoolVar(&o.raw, "raw", false, "print the reply as it came")
	return cmd
}

func send(cmd *cobra.Command, o *keruyunOptions, spi string) error {
	body, err := o.prepare(cmd)
	if err != nil {
		return err
	}
	o.kry.Header = http.Header{}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return fmt.Errorf(`--header: %q is not "Name: value"`, h)
		}
		o.kry.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	o.kry.Client = &http.Client{Timeout: o.timeout}
	status, reply, err := o.kry.Call(cmd.Context(), spiPath(spi), body)
	if err != nil {
		return err
	}
	if err := printJSON(cmd.OutOrStdout(), reply, o.raw); err != nil {
		return err
	}
	env, err := sandbox.DecodeReply(reply)
	switch {
	case err != nil:
		return fmt.Errorf("HTTP %d: %w", status, err)
	case env.Code != 0:
		return fmt.Errorf("HTTP %d: the reply has code %d: %s", status, env.Code, env.Message)
	case !env.Result.Success:
		return fmt.Errorf("HTTP %d: refused, subCode %s: %s", status, env.Result.SubCode, env.Result.SubMsg)
	}
	return nil
}

// printJSON indents raw when it is JSON and prints it as it is otherwise.
func printJSON(w io.Writer, raw []byte, asIs bool) error {
	var b bytes.Buffer
	if asIs || json.Indent(&b, bytes.TrimSpace(raw), "", "  ") != nil {
		b.Reset()
		b.Write(raw)
	}
	if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}
