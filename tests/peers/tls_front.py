#!/usr/bin/env python3
"""TLS in front of a plain server on loopback: one listener for each certificate.

usage: tls_front.py FOLDER PORT NAME...
Certificate and key are NAME.pem and NAME.key in FOLDER. Prints the listeners' ports in one line; ends when
standard input does."""
import socket
import ssl
import sys
import threading


def carry(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(listener, context, port):
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=one, args=(plain, context, port), daemon=True).start()


def one(plain, context, port):
    try:
        outer = context.wrap_socket(plain, server_side=True)
    except OSError:  # it did not like the certificate: what most of the tests are about
        plain.close()
        return
    inner = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=carry, args=(inner, outer), daemon=True).start()
    carry(outer, inner)


def main():
    folder, port, ports = sys.argv[1], int(sys.argv[2]), []
    for name in sys.argv[3:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
        listener = socket.create_server(("127.0.0.1", 0))
        ports.append(listener.getsockname()[1])
        threading.Thread(target=serve, args=(listener, context, port), daemon=True).start()
    print(*ports, flush=True)
    sys.stdin.read()


main()
