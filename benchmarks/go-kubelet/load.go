package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	api "numa-trio.bench/deviceplugin/v1beta1"
)

const (
	// Calls that each client makes before the clock runs.
	warmUpCalls = 50
	// What a plugin has to do when a stream ends shall not count for the next one.
	betweenStreams = 5 * time.Millisecond
)

type throughput struct {
	P50Millis float64 `json:"p50_ms"`
	P99Millis float64 `json:"p99_ms"`
	PerSecond float64 `json:"per_second"`
}

// allocate has each client, on a connection of its own, ask for one slot after the other, as the
// admission of pods does. The clients take the resources in turn.
func allocate(g *generation, clients, calls int) (*throughput, error) {
	resources, err := held(g)
	if err != nil {
		return nil, err
	}
	var ready, finished sync.WaitGroup
	begin := make(chan struct{})
	latencies := make([][]float64, clients)
	failures := make([]error, clients)
	for i := range latencies {
		ready.Add(1)
		finished.Add(1)
		go func(i int) {
			defer finished.Done()
			a := allocator{resource: resources[i%len(resources)], calls: calls / clients}
			latencies[i], failures[i] = a.run(ready.Done, begin)
		}(i)
	}
	ready.Wait()
	began := time.Now()
	close(begin)
	finished.Wait()
	seconds := time.Since(began).Seconds()
	var all []float64
	for i := range latencies {
		if failures[i] != nil {
			return nil, failures[i]
		}
		all = append(all, latencies[i]...)
	}
	sort.Float64s(all)
	return &throughput{
		P50Millis: all[len(all)/2],
		P99Millis: all[len(all)*99/100],
		PerSecond: float64(len(all)) / seconds,
	}, nil
}

// An allocator is one client.
type allocator struct {
	resource resource
	calls    int
	client   api.DevicePluginClient
}

// run says when it has warmed up, waits for the beginning, and returns each call's milliseconds.
func (a *allocator) run(ready func(), begin <-chan struct{}) ([]float64, error) {
	conn, err := dial(context.Background(), a.resource.socket)
	if err == nil {
		defer conn.Close()
		a.client = api.NewDevicePluginClient(conn)
	}
	for i := 0; i < warmUpCalls && err == nil; i++ {
		err = a.call(i)
	}
	ready()
	<-begin
	latencies := make([]float64, 0, a.calls)
	for i := 0; i < a.calls && err == nil; i++ {
		before := time.Now()
		err = a.call(i)
		latencies = append(latencies, millis(time.Since(before)))
	}
	return latencies, err
}

func (a *allocator) call(i int) error {
	ids := []string{a.resource.devices[i%len(a.resource.devices)]}
	response, err := a.client.Allocate(context.Background(), &api.AllocateRequest{
		ContainerRequests: []*api.ContainerAllocateRequest{{DevicesIds: ids}},
	})
	if err != nil {
		return err
	}
	containers := response.ContainerResponses
	if len(containers) != 1 || containers[0].Envs["NUMA_NODE"] == "" {
		return fmt.Errorf("%s: Allocate answered %v", a.resource.name, response)
	}
	return nil
}

// firstLists opens ListAndWatch streams, one after the other, and returns the milliseconds to the
// first message of each.
func firstLists(g *generation, count int) ([]float64, error) {
	resources, err := held(g)
	if err != nil {
		return nil, err
	}
	var times []float64
	for _, r := range resources {
		conn, err := dial(context.Background(), r.socket)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		client := api.NewDevicePluginClient(conn)
		if _, err := client.GetDevicePluginOptions(context.Background(), &api.Empty{}); err != nil {
			return nil, err
		}
		for i := 0; i < count; i++ {
			elapsed, err := firstList(client, len(r.devices))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			times = append(times, millis(elapsed))
			time.Sleep(betweenStreams)
		}
	}
	return times, nil
}

func firstList(client api.DevicePluginClient, devices int) (time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := time.Now()
	stream, err := client.ListAndWatch(ctx, &api.Empty{})
	if err != nil {
		return 0, err
	}
	list, err := stream.Recv()
	elapsed := time.Since(before)
	if err == nil && len(list.Devices) != devices {
		err = fmt.Errorf("the list had %d devices, now %d", devices, len(list.Devices))
	}
	return elapsed, err
}

// held are the resources that can be asked.
func held(g *generation) ([]resource, error) {
	resources, _ := g.delivered()
	if len(resources) == 0 {
		return nil, errors.New("no resource has delivered its list")
	}
	return resources, nil
}
