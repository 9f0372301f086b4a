// Config-loader copies the files of labelled ConfigMaps of some namespaces into a folder, and keeps them as they are there.
//
// It stands in for quay.io/kiwigrid/k8s-sidecar where that image cannot be had, and reads the same variables: LABEL,
// LABEL_VALUE, NAMESPACE (several with commas) and FOLDER. Files carry the names of their namespace and ConfigMap.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	credentials = "/var/run/secrets/kubernetes.io/serviceaccount"
	retryAfter  = 5 * time.Second
	// The server ends a watch after this; what it cannot tell is found by listing anew.
	watchSeconds = "300"
)

type configMap struct {
	Metadata struct {
		Name            string `json:"name"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Data map[string]string `json:"data"`
}

type list struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []configMap `json:"items"`
}

type event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// namespace is one that is watched; its files begin with its own prefix, so that namespaces do not meet.
type namespace struct {
	name, selector, folder, server string
	client                         *http.Client
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	client, err := newClient()
	if err != nil {
		log.Fatal(err)
	}
	server := "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	selector := os.Getenv("LABEL") + "=" + os.Getenv("LABEL_VALUE")
	var all sync.WaitGroup
	for _, name := range strings.Split(os.Getenv("NAMESPACE"), ",") {
		watched := namespace{strings.TrimSpace(name), selector, os.Getenv("FOLDER"), server, client}
		all.Go(func() { watched.follow(ctx) })
	}
	all.Wait()
}

// follow lists and watches until it is told to end; whatever fails is tried again.
func (n namespace) follow(ctx context.Context) {
	for ctx.Err() == nil {
		version, err := n.copyAll(ctx)
		if err == nil {
			err = n.watch(ctx, version)
		}
		if err != nil && ctx.Err() == nil {
			log.Printf("namespace %s: %v; trying again", n.name, err)
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
		}
	}
}

// copyAll makes the folder hold the files of the ConfigMaps there are, and returns the version to watch from.
func (n namespace) copyAll(ctx context.Context) (string, error) {
	answer, err := n.get(ctx, url.Values{"labelSelector": {n.selector}})
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var found list
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return "", err
	}
	wanted := map[string]bool{}
	for _, item := range found.Items {
		for file := range item.Data {
			wanted[n.path(item, file)] = true
		}
		if err := n.copyOne(item); err != nil {
			return "", err
		}
	}
	present, err := filepath.Glob(filepath.Join(n.folder, "namespace_"+n.name+".*"))
	for _, path := range present {
		if !wanted[path] {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return found.Metadata.ResourceVersion, err
}

func (n namespace) watch(ctx context.Context, version string) error {
	answer, err := n.get(ctx, url.Values{
		"labelSelector": {n.selector}, "watch": {"true"}, "resourceVersion": {version}, "timeoutSeconds": {watchSeconds},
	})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the watch has ended, as it does from time to time
		}
		var change event
		var object configMap
		if err := json.Unmarshal(line, &change); err != nil {
			return err
		}
		if change.Type == "ERROR" {
			return fmt.Errorf("watching ended: %s", change.Object)
		}
		if err := json.Unmarshal(change.Object, &object); err != nil {
			return err
		}
		if change.Type == "DELETED" {
			object.Data = nil
		}
		if err := n.copyOne(object); err != nil {
			return err
		}
	}
}

// copyOne makes the files of one ConfigMap be as it says: those it has, and no others.
func (n namespace) copyOne(object configMap) error {
	for file, text := range object.Data {
		if err := write(n.path(object, file), text); err != nil {
			return err
		}
	}
	present, err := filepath.Glob(n.path(object, "*"))
	for _, path := range present {
		if _, there := object.Data[strings.TrimPrefix(path, n.path(object, ""))]; !there {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

func (n namespace) path(object configMap, file string) string {
	// Names of objects may hold dots, but no underscore.
	return filepath.Join(n.folder, "namespace_"+n.name+".configmap_"+object.Metadata.Name+"_"+file)
}

// write replaces a file whole, and leaves one that is the same alone: readers look at times.
func write(path, text string) error {
	if present, err := os.ReadFile(path); err == nil && string(present) == text {
		return nil
	}
	scratch := path + ".new" // no name that readers take for a rule file
	if err := os.WriteFile(scratch, []byte(text), 0o644); err != nil {
		return err
	}
	log.Printf("%s has changed", filepath.Base(path))
	return os.Rename(scratch, path)
}

func (n namespace) get(ctx context.Context, query url.Values) (*http.Response, error) {
	address := n.server + "/api/v1/namespaces/" + url.PathEscape(n.name) + "/configmaps?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(credentials + "/token") // renewed by the kubelet
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	answer, err := n.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, errors.New(answer.Status)
	}
	return answer, nil
}

func newClient() (*http.Client, error) {
	authority, err := os.ReadFile(credentials + "/ca.crt")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("the cluster's authority is no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}, nil
}
