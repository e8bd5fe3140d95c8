#!/bin/sh
# Makes the certificates of the TLS tests: valid for a century, trusted by nobody but these tests.
set -eu
cd "$(dirname "$0")"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $key -keyout ca.key -out ca.pem -days 36500 -subj "/CN=waterfall tests" \
  -addext "basicConstraints=critical,CA:true" -addext "keyUsage=critical,keyCertSign"
leaf() { # name, subjectAltName, days
  openssl req $key -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
  printf 'subjectAltName=%s\n' "$2" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$3" \
    -extfile "$1.ext" -out "$1.crt"
  cat "$1.crt" "$1.key" > "$1.pem"
  rm "$1.csr" "$1.ext" "$1.crt" "$1.key"
}
leaf good "DNS:localhost,IP:127.0.0.1" 36500
leaf elsewhere "DNS:elsewhere.test" 36500
leaf expired "DNS:localhost,IP:127.0.0.1" 0
rm -f ca.key ca.srl
