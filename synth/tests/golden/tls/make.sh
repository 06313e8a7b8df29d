#!/bin/sh
# Makes the certificate of localhost that no authority has signed, and its key, for the tests of TLS. Valid for a hundred years.
cd "$(dirname "$0")" || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
    -keyout key.pem -out cert.pem
