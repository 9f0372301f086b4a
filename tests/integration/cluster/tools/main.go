// What a pod does in the tests: a static program, so that its image needs nothing else.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	commands := map[string]func(...string) error{
		"serve": serve, "get": get, "get-itself": getItself, "lookup": lookup, "write": write, "read": read,
	}
	if err := commands[os.Args[1]](os.Args[2:]...); err != nil {
		log.Fatal(err)
	}
}

func serve(arguments ...string) error {
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, arguments[1]) }
	return http.ListenAndServe(":"+arguments[0], http.HandlerFunc(answer))
}

// get tries again while a Service that was just made is not known everywhere.
func get(arguments ...string) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: nil}}
	deadline := time.Now().Add(20 * time.Second)
	for {
		response, err := client.Get(arguments[0])
		if err == nil {
			defer response.Body.Close()
			_, err = io.Copy(os.Stdout, response.Body)
			return err
		}
		if len(arguments) > 1 || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func getItself(arguments ...string) error {
	go func() { log.Fatal(serve("8080", "itself")) }()
	return get(arguments[0])
}

func lookup(arguments ...string) error {
	for _, name := range arguments {
		addresses, err := net.LookupHost(name)
		if err != nil {
			return err
		}
		fmt.Println(addresses)
	}
	return nil
}

func write(arguments ...string) error {
	return os.WriteFile(arguments[0], []byte(arguments[1]), 0o600)
}

func read(arguments ...string) error {
	content, err := os.ReadFile(arguments[0])
	fmt.Print(string(content))
	return err
}
