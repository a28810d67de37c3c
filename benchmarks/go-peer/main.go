// The yardstick of the benchmarks: a plain device plugin for NUMA nodes in Go.
//
// One process and one gRPC server for each NUMA node; whenever kubelet.sock is created, it serves
// and registers all of them anew. It reads the same settings as numa-trio.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	api "numa-trio.bench/deviceplugin/v1beta1"
)

// The first attempts often come between kubelet's bind and its listen.
const (
	firstRetry = time.Millisecond
	lastRetry  = time.Second
)

type plugin struct {
	api.UnimplementedDevicePluginServer
	node    int
	devices []*api.Device
	known   map[string]bool
}

func newPlugin(node, capacity int) *plugin {
	p := &plugin{node: node, known: make(map[string]bool, capacity)}
	topology := &api.TopologyInfo{Nodes: []*api.NUMANode{{ID: int64(node)}}}
	for i := 0; i < capacity; i++ {
		id := fmt.Sprintf("numa-%d-%d", node, i)
		p.known[id] = true
		p.devices = append(p.devices, &api.Device{ID: id, Health: "Healthy", Topology: topology})
	}
	return p
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	if err := stream.Send(&api.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		for _, id := range container.DevicesIds {
			if !p.known[id] {
				return nil, status.Errorf(codes.InvalidArgument, "unknown device %q", id)
			}
		}
		envs := map[string]string{"NUMA_NODE": strconv.Itoa(p.node)}
		response.ContainerResponses = append(response.ContainerResponses, &api.ContainerAllocateResponse{Envs: envs})
	}
	return response, nil
}

// run serves and registers with kubelet until ctx is done.
func (p *plugin) run(ctx context.Context, dir string) {
	for delay := firstRetry; ; delay *= 2 {
		err := p.serveAndRegister(ctx, dir)
		if ctx.Err() != nil {
			return
		}
		if delay > lastRetry {
			delay = lastRetry
		}
		log.Printf("node %d: %v; trying again in %v", p.node, err, delay)
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

func (p *plugin) serveAndRegister(ctx context.Context, dir string) error {
	endpoint := fmt.Sprintf("numa-%d.sock", p.node)
	socket := filepath.Join(dir, endpoint)
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	go server.Serve(listener)
	defer server.Stop()

	if err := p.register(ctx, filepath.Join(dir, "kubelet.sock"), endpoint); err != nil {
		return fmt.Errorf("registering: %w", err)
	}
	log.Printf("node %d: registered", p.node)
	<-ctx.Done()
	return nil
}

func (p *plugin) register(ctx context.Context, kubelet, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := grpc.DialContext(ctx, "unix://"+kubelet, grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = api.NewRegistrationClient(conn).Register(ctx, &api.RegisterRequest{
		Version:      "v1beta1",
		Endpoint:     endpoint,
		ResourceName: fmt.Sprintf("numa-align/numa-%d", p.node),
	})
	return err
}

// onlineNodes reads a list of node numbers such as "0-2,33".
func onlineNodes(sysfs string) (nodes []int, err error) {
	text, err := os.ReadFile(filepath.Join(sysfs, "devices/system/node/online"))
	if err != nil {
		return nil, err
	}
	for _, part := range strings.Split(strings.TrimSpace(string(text)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil, err
		}
		to, err := strconv.Atoi(last)
		if err != nil {
			return nil, err
		}
		for node := from; node <= to; node++ {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

func setting(name, fallback string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return fallback
}

func main() {
	dir := setting("NUMA_SOCKET_DIR", "/var/lib/kubelet/device-plugins")
	capacity, err := strconv.Atoi(setting("NUMA_CAPACITY", "100"))
	if err != nil {
		log.Fatalf("NUMA_CAPACITY: %v", err)
	}
	nodes, err := onlineNodes(setting("NUMA_SYSFS_ROOT", "/sys"))
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("Discovered NUMA nodes %v", nodes)
	var plugins []*plugin
	for _, node := range nodes {
		plugins = append(plugins, newPlugin(node, capacity))
	}

	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		log.Fatal(err)
	}
	if err := watcher.Add(dir); err != nil {
		log.Fatal(err)
	}
	signals, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	for signals.Err() == nil {
		generation, cancel := context.WithCancel(signals)
		var running sync.WaitGroup
		for _, p := range plugins {
			running.Add(1)
			go func(p *plugin) {
				defer running.Done()
				p.run(generation, dir)
			}(p)
		}
		awaitKubelet(signals, watcher)
		cancel()
		running.Wait()
	}
}

// awaitKubelet returns when kubelet.sock is created, or when ctx is done.
func awaitKubelet(ctx context.Context, watcher *fsnotify.Watcher) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-watcher.Events:
			if filepath.Base(event.Name) == "kubelet.sock" && event.Op&fsnotify.Create != 0 {
				return
			}
		case err := <-watcher.Errors:
			log.Printf("watching: %v", err)
		}
	}
}
