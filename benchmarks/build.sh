#!/bin/sh
# Build the two Go programs of the benchmarks into DIR: go-peer and go-kubelet.
#
# Needs Debian's packages below and no network; as root, it installs those that are missing.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: build.sh DIR" >&2
    exit 2
fi
packages="golang-go golang-google-grpc-dev golang-github-fsnotify-fsnotify-dev
    golang-goprotobuf-dev protoc-gen-go-grpc protobuf-compiler"
missing=
for package in $packages; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
        grep --quiet --line-regexp installed || missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "build.sh: as root, run: apt-get install$missing" >&2
        exit 1
    fi
    apt-get update --quiet --quiet
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends \
        $missing >&2
fi

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

# The messages, from the same text as numa-trio's own.
generated=$out/gopath/src/numa-trio.bench
mkdir -p "$generated"
options=Mdeviceplugin/v1beta1/deviceplugin.proto=numa-trio.bench/deviceplugin/v1beta1
options=$options,paths=source_relative
protoc --proto_path="$here/../proto" --go_out="$options:$generated" \
    --go-grpc_out="$options:$generated" deviceplugin/v1beta1/deviceplugin.proto

export GO111MODULE=off GOFLAGS="" GOPATH="$out/gopath:/usr/share/gocode"
cd "$here"
for program in go-peer go-kubelet; do
    CGO_ENABLED=0 go build -ldflags='-s -w' -o "$out/$program" "./$program"
done
