// Certificate-prober says when the certificates of what is reached by TLS end.
//
// It stands in for docker.io/prom/blackbox-exporter where that image cannot be had, and answers what is asked of that one
// here: /probe?module=tls&target=HOST:PORT, with its series probe_success and probe_ssl_earliest_cert_expiry.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

const longest = 5 * time.Second

func main() {
	log.SetFlags(0)
	listen := flag.String("web.listen-address", ":9115", "address and port to listen on")
	flag.String("config.file", "", "read by the program that this one stands in for; its module `tls` is all there is here")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	paths := http.NewServeMux()
	paths.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Healthy") })
	paths.HandleFunc("GET /probe", probe)
	server := &http.Server{Addr: *listen, Handler: paths, ReadHeaderTimeout: longest}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func probe(w http.ResponseWriter, r *http.Request) {
	module, target := r.URL.Query().Get("module"), r.URL.Query().Get("target")
	if module != "tls" || target == "" {
		http.Error(w, "ask for the module tls and a target", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	end, err := earliestEnd(r.Context(), target)
	if err != nil {
		log.Printf("%s: %v", target, err)
		fmt.Fprintln(w, "# TYPE probe_success gauge\nprobe_success 0")
		return
	}
	fmt.Fprintln(w, "# TYPE probe_success gauge\nprobe_success 1")
	fmt.Fprintf(w, "# TYPE probe_ssl_earliest_cert_expiry gauge\nprobe_ssl_earliest_cert_expiry %d\n", end.Unix())
}

// earliestEnd is of all certificates that a server shows: without one of them a client does not trust the others.
func earliestEnd(ctx context.Context, target string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return time.Time{}, err
	}
	// Who signed it is not asked: a certificate that has ended is to be measured, too, and nothing is sent.
	dialer := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	connection, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return time.Time{}, err
	}
	defer connection.Close()
	shown := connection.(*tls.Conn).ConnectionState().PeerCertificates
	end := shown[0].NotAfter
	for _, certificate := range shown[1:] {
		if certificate.NotAfter.Before(end) {
			end = certificate.NotAfter
		}
	}
	return end, nil
}
