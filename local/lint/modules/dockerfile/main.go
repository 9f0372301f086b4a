// dockerfile runs BuildKit's checks (https://docs.docker.com/reference/build-checks/) on the Dockerfiles it is given:
// the same as `docker build --check`, without a daemon, a registry or a build. It exits 1 if there is anything to say.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// unasked is in the place of a registry: how a Dockerfile is written has nothing to do with what its base is made of.
type unasked struct{}

func (unasked) ResolveImageConfig(
	_ context.Context, reference string, _ sourceresolver.Opt,
) (string, digest.Digest, []byte, error) {
	return reference, "", []byte(`{"os": "linux", "architecture": "amd64"}`), nil
}

func main() {
	found := false
	for _, path := range os.Args[1:] {
		for _, finding := range check(path) {
			fmt.Println(finding)
			found = true
		}
	}
	if found {
		os.Exit(1)
	}
}

// check gives a line for each thing that is to be said about a Dockerfile.
func check(path string) []string {
	content, err := os.ReadFile(path)
	if err != nil {
		return []string{err.Error()}
	}
	source := llb.NewSourceMap(nil, path, "Dockerfile", content)
	source.Definition = &llb.Definition{} // nothing is built, so there is nothing that the file was taken from
	results, err := dockerfile2llb.DockerfileLint(context.Background(), content, dockerfile2llb.ConvertOpt{
		// A base that is an argument has to have some name; which one is the builder's business.
		Config:       dockerui.Config{BuildArgs: map[string]string{"BASE": "base"}},
		SourceMap:    source,
		MetaResolver: unasked{},
	})
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", path, err)}
	}
	lines := []string{}
	for _, warning := range results.Warnings {
		place := at(path, warning.Location)
		lines = append(lines, fmt.Sprintf("%s: %s: %s (%s)", place, warning.RuleName, warning.Detail, warning.URL))
	}
	if results.Error != nil {
		lines = append(lines, fmt.Sprintf("%s: %s", at(path, &results.Error.Location), results.Error.Message))
	}
	return lines
}

func at(path string, location *pb.Location) string {
	if ranges := location.GetRanges(); len(ranges) > 0 {
		return fmt.Sprintf("%s:%d", path, ranges[0].GetStart().GetLine())
	}
	return path
}
