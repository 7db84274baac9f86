package frameworks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reporadar/pgsession/sessionstore"
)

type (
	empty  = emptypb.Empty
	number = wrapperspb.Int64Value
)

// shopAPI is a service of connect-go with a unary call, one that fails and a
// stream.
func shopAPI(m *sessionstore.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/shop/Count", connect.NewUnaryHandler("/shop/Count",
		func(ctx context.Context, _ *connect.Request[empty]) (*connect.Response[number], error) {
			n, err := count(ctx)
			return connect.NewResponse(wrapperspb.Int64(int64(n))), err
		}))
	mux.Handle("/shop/Broken", connect.NewUnaryHandler("/shop/Broken",
		func(ctx context.Context, _ *connect.Request[empty]) (*connect.Response[number], error) {
			if _, err := count(ctx); err != nil {
				return nil, err
			}
			s, err := sessionstore.FromContext(ctx)
			if err == nil {
				s.Discard() // in gRPC the status of an error is 200, which saves
				err = connect.NewError(connect.CodeInternal, errBroken)
			}
			return nil, err
		}))
	mux.Handle("/shop/Watch", connect.NewServerStreamHandler("/shop/Watch",
		func(
			ctx context.Context, _ *connect.Request[empty], out *connect.ServerStream[number],
		) error {
			for range 3 {
				n, err := count(ctx)
				if err == nil {
					err = out.Send(wrapperspb.Int64(int64(n)))
				}
				if err != nil {
					return err
				}
			}
			return nil
		}))
	return m.Handler(mux)
}

// The same over the protocols of Connect and of gRPC.
func TestConnect(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string][]connect.ClientOption{
		"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, shopAPI)
			client := func(method string) *connect.Client[empty, number] {
				return connect.NewClient[empty, number](s.client, s.server.URL+"/shop/"+method,
					protocol...)
			}
			call := func(method string) string {
				resp, err := client(method).CallUnary(t.Context(), connect.NewRequest(&empty{}))
				if err != nil {
					return connect.CodeOf(err).String()
				}
				return fmt.Sprint(resp.Msg.GetValue())
			}
			for _, tt := range []struct{ method, want string }{
				{"Count", "1"}, {"Broken", "internal"}, {"Count", "2"},
			} {
				if got := call(tt.method); got != tt.want {
					t.Errorf("%s: %s, want %s", tt.method, got, tt.want)
				}
			}
			watch := connect.NewRequest(&empty{})
			stream, err := client("Watch").CallServerStream(t.Context(), watch)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for stream.Receive() {
				got = append(got, stream.Msg().GetValue())
			}
			if err := errors.Join(stream.Err(), stream.Close()); fmt.Sprint(got) != "[3 4 5]" {
				t.Errorf("stream: %v, %v", got, err)
			}
			if got := call("Count"); got != "6" {
				t.Errorf("after the stream: %s", got)
			}
		})
	}
}
