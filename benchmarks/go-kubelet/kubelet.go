package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"google.golang.org/grpc"

	api "numa-trio.bench/deviceplugin/v1beta1"
)

const (
	// What a starting kubelet takes between wiping its directory and creating kubelet.sock.
	wipeToCreate = 20 * time.Millisecond
	// How long kubelet tries to reach a plugin that registers.
	dialTimeout = 10 * time.Second
)

// A generation is one life of kubelet.sock. It accepts registrations and notes when each
// resource's list arrives.
type generation struct {
	api.UnimplementedRegistrationServer
	dir     string
	server  *grpc.Server
	created time.Time // when kubelet.sock was created

	mu        sync.Mutex
	over      bool
	conns     []*grpc.ClientConn // every one dialled, also those of resources registered again
	resources map[string]*resource
	changed   chan struct{} // closed and replaced at every change of a resource
}

// A resource is one registered plugin.
type resource struct {
	name      string
	socket    string
	devices   []string  // their ids, in the latest list
	delivered time.Time // when the first list came; zero: not yet, or the stream has ended
}

// startGeneration deletes every socket in the directory, then creates kubelet.sock and serves.
func startGeneration(dir string) (*generation, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Type()&os.ModeSocket != 0 {
			err := os.Remove(filepath.Join(dir, entry.Name()))
			if err != nil && !os.IsNotExist(err) {
				return nil, err
			}
		}
	}
	g := &generation{
		dir:       dir,
		server:    grpc.NewServer(),
		resources: map[string]*resource{},
		changed:   make(chan struct{}),
	}
	api.RegisterRegistrationServer(g.server, g)
	time.Sleep(wipeToCreate)
	g.created = time.Now()
	address := net.UnixAddr{Name: filepath.Join(dir, "kubelet.sock"), Net: "unix"}
	listener, err := net.ListenUnix("unix", &address)
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	go g.server.Serve(listener)
	return g, nil
}

// stop ends every stream and connection at once, as the death of the process does, and leaves a
// dead kubelet.sock.
func (g *generation) stop() {
	g.server.Stop()
	g.change(func() {
		g.over = true
		for _, conn := range g.conns {
			conn.Close()
		}
	})
}

// Register dials back and asks for the options before it answers, as kubelet does.
func (g *generation) Register(ctx context.Context, request *api.RegisterRequest) (*api.Empty, error) {
	if request.Version != "v1beta1" {
		return nil, fmt.Errorf("unsupported version %q", request.Version)
	}
	r := &resource{name: request.ResourceName, socket: filepath.Join(g.dir, request.Endpoint)}
	conn, err := dial(ctx, r.socket)
	if err != nil {
		return nil, fmt.Errorf("dialing %s: %w", r.socket, err)
	}
	client := api.NewDevicePluginClient(conn)
	if _, err := client.GetDevicePluginOptions(ctx, &api.Empty{}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("GetDevicePluginOptions: %w", err)
	}
	g.change(func() {
		if g.over {
			conn.Close()
			err = errors.New("kubelet has stopped")
			return
		}
		g.conns = append(g.conns, conn)
		g.resources[r.name] = r
		go g.watch(r, client)
	})
	return &api.Empty{}, err
}

func dial(ctx context.Context, socket string) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return grpc.DialContext(ctx, socket, grpc.WithInsecure(), grpc.WithBlock(),
		grpc.WithAuthority("localhost"),
		grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}))
}

// watch holds the resource's ListAndWatch stream open.
func (g *generation) watch(r *resource, client api.DevicePluginClient) {
	stream, err := client.ListAndWatch(context.Background(), &api.Empty{})
	for err == nil {
		var list *api.ListAndWatchResponse
		if list, err = stream.Recv(); err == nil {
			g.note(r, list, time.Now())
		}
	}
	g.change(func() {
		r.delivered = time.Time{}
		if !g.over {
			log.Printf("%s: stream ended: %v", r.name, err)
		}
	})
}

func (g *generation) note(r *resource, list *api.ListAndWatchResponse, now time.Time) {
	ids := make([]string, len(list.Devices))
	for i, device := range list.Devices {
		ids[i] = device.ID
	}
	g.change(func() {
		r.devices = ids
		if r.delivered.IsZero() {
			r.delivered = now
		}
	})
}

func (g *generation) change(apply func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	apply()
	close(g.changed)
	g.changed = make(chan struct{})
}

// delivered are the resources whose list is held, by name, and what tells of the next change.
func (g *generation) delivered() ([]resource, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var held []resource
	for _, r := range g.resources {
		if !r.delivered.IsZero() {
			held = append(held, *r)
		}
	}
	sort.Slice(held, func(i, j int) bool { return held[i].name < held[j].name })
	return held, g.changed
}

// A recovery is what came of one start of kubelet.
type recovery struct {
	Delivered  int     `json:"delivered"` // resources whose list is held
	LastMillis float64 `json:"last_ms"`   // from kubelet.sock's creation to the last first list
	LastUnixNs int64   `json:"last_unix_ns"`
}

// await returns when as many resources as expected have delivered their list, or when the time
// is up.
func (g *generation) await(expected int, timeout time.Duration) recovery {
	held, changed := g.delivered()
	for deadline := time.After(timeout); len(held) < expected; held, changed = g.delivered() {
		select {
		case <-changed:
			continue
		case <-deadline:
		}
		break
	}
	last := g.created
	for _, r := range held {
		if r.delivered.After(last) {
			last = r.delivered
		}
	}
	return recovery{
		Delivered:  len(held),
		LastMillis: millis(last.Sub(g.created)),
		LastUnixNs: last.UnixNano(),
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
