// The kubelet side of the benchmarks, the same for every plugin, with the gRPC library and the
// order of calls of a real kubelet.
//
// It reads commands from standard input, a JSON object a line, and answers each with a line on
// standard output: the result, or {"error": …}. It ends when standard input does.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"
)

// A command is one line of standard input.
type command struct {
	Do      string
	Seconds float64 // await: at most so long
	Clients int     // allocate
	Calls   int     // allocate: by all clients together
	Count   int     // lists: for each resource
}

func main() {
	dir := flag.String("dir", "", "the device-plugin directory")
	resources := flag.Int("resources", 1, "how many resources the plugin under test has")
	flag.Parse()
	log.SetFlags(log.Lmicroseconds)
	k := kubelet{dir: *dir, resources: *resources}
	answers := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var c command
		var answer interface{}
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			answer, err = k.do(c)
		}
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := answers.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}

type kubelet struct {
	dir       string
	resources int
	current   *generation // nil: stopped
}

var done = struct{}{}

func (k *kubelet) do(c command) (answer interface{}, err error) {
	if c.Do != "start" && k.current == nil {
		return nil, errors.New("kubelet does not run: start it first")
	}
	switch c.Do {
	case "start": // wipe the directory, create kubelet.sock
		k.current, err = startGeneration(k.dir)
		return done, err
	case "await": // until every resource has delivered its list
		return k.current.await(k.resources, time.Duration(c.Seconds*float64(time.Second))), nil
	case "allocate":
		return allocate(k.current, c.Clients, c.Calls)
	case "lists":
		return firstLists(k.current, c.Count)
	case "stop": // end the streams, leave a dead kubelet.sock
		k.current.stop()
		k.current = nil
		return done, nil
	}
	return nil, fmt.Errorf("unknown command %q", c.Do)
}
