#!/usr/bin/env python3
"""Stands in for the public APIs of Selectel and Timeweb Cloud, a declared API and a catalogue: answers in the shapes
of their documentation, and the faults that a client must stand. Prints its port. What was asked is in LOG.

usage: cloud_fake.py LOG    the path /fault/NAME sets the fault of the next requests; "none" ends it"""
import http.server
import json
import sys
import threading
import urllib.parse

TOKEN, PASSWORD = "token-0123456789", "password-0123456789"
state = {"fault": "none", "tokens": 0}
lock = threading.Lock()
log = open(sys.argv[1], "a", buffering=1, encoding="utf-8")


def timeweb_server(i):
    return {"id": 1000 + i, "name": f"web-{i}", "comment": "", "created_at": "2024-05-01T10:00:00.000Z",
            "os": {"id": 79, "name": "ubuntu", "version": "22.04"}, "software": None, "preset_id": 4795, "location": "ru-1",
            "configurator_id": None, "boot_mode": "std", "status": "off" if i == 1 else "on", "start_at": None,
            "is_ddos_guard": False, "cpu": 2, "cpu_frequency": "3.3", "ram": 2048, "disks": [], "vnc_pass": "vnc-secret",
            "root_pass": "root-secret", "networks": [], "cloud_init": None, "availability_zone": "spb-3"}


def timeweb(path, query):
    if path == "/api/v1/account/finances":
        return {"finances": {"balance": 412.5, "currency": "RUB", "discount_end_date_at": None, "discount_percent": 0,
                             "hourly_cost": 1.37, "hourly_fee": 1.37, "monthly_cost": 1000.1, "monthly_fee": 1000.1,
                             "total_paid": 15000, "hours_left": 301, "autopay_card_info": None}, "response_id": "a"}
    if path == "/api/v1/account/services/cost":
        return {"services_costs": [{"cost": 477, "total_cost": 657.25, "type": "server", "service_id": 1000, "info": {"name": "web-0"}},
                                   {"cost": None, "total_cost": None, "type": "vpc", "service_id": 7}], "meta": {"total": 2}}
    if path == "/api/v1/servers":
        offset, limit, count = int(query.get("offset", 0)), int(query.get("limit", 100)), 130
        rows = [timeweb_server(i) for i in range(offset, min(count, offset + limit))]
        return {"servers": rows, "meta": {"total": count}, "response_id": "b"}
    if path.startswith("/api/v1/servers/1000/statistics/"):
        return {"statistics": [{"name": "system.cpu.util", "list": [{"time": "2024-05-01T10:00:00Z", "value": 12.5},
                                                                    {"time": "2024-05-01T10:05:00Z", "value": None}]}]}
    return None


def selectel(path, query):
    if path == "/v3/balances":
        return {"settings": {"currency": "rub", "mode": "prepay"}, "data": {"billings": [
            {"billing_type": "primary", "final_sum": 3661978, "debt_sum": 0, "debt": [], "balances": [
                {"balance_id": 1, "balance_type": "bonus", "value": 3661464}, {"balance_id": 2, "balance_type": "main", "value": 514}]}]}}
    if path == "/v1/cloud_billing/statistic/consumption":
        metric = {"metric": {"id": "compute_cores", "name": "vCPU", "unit": "item", "quantity": 32000}} if query.get("group_type") == "project_metric" else {}
        return {"status": "success", "data": [
            {"project": {"id": "p1", "name": "production"}, "provider_key": "vpc", "value": 1500001, **metric},
            {"project": {"id": "p2", "name": "test"}, "provider_key": "mks", "value": None, **metric}]}
    if path == "/compute/servers/detail":
        return {"servers": [{"id": "s1", "name": "db-1", "status": "ACTIVE", "created": "2024-05-01T10:00:00Z",
                             "flavor": {"vcpus": 4, "ram": 8192}, "OS-EXT-AZ:availability_zone": "ru-9a"},
                            {"id": "s2", "name": "db-2", "status": "ERROR", "flavor": {}, "OS-EXT-AZ:availability_zone": "ru-9a"}]}
    return None


CATALOGUE = {"servers": [
    {"server": {"name": "io.example/files", "description": "Reads files", "version": "1.2.3", "packages": [
        {"registryType": "npm", "identifier": "@example/files", "version": "1.2.3", "transport": {"type": "stdio"},
         "environmentVariables": [{"name": "FILES_TOKEN", "isSecret": True}, {"name": "FILES_ROOT"}]}]}},
    {"server": {"name": "io.example/evil", "description": "Quotes", "version": "1", "packages": [
        {"registryType": "npm", "identifier": "x; rm -rf /", "version": "1.0.0", "transport": {"type": "stdio"}}]}},
    {"server": {"name": "io.example/far", "description": "A remote one", "version": "2", "remotes": [
        {"type": "streamable-http", "url": "https://far.example/mcp"}]}}], "metadata": {"count": 3}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, headers=()):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def faulty(self, fault, found):
        if fault == "401":
            self.answer(401, {"status_code": 401, "error_code": "unauthorized", "message": "Unauthorized", "response_id": "x"})
        elif fault == "429":
            self.answer(429, {"status_code": 429, "message": "Too many requests"}, [("Retry-After", "2")])
        elif fault == "500":
            self.answer(500, b"<html>oops</html>")
        elif fault == "cut":
            raw = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw[:len(raw) // 2])
            self.close_connection = True
        elif fault == "types":
            self.answer(200, {"finances": [], "servers": {}, "services_costs": 7, "data": "no", "statistics": 1, "settings": 3})
        elif fault == "html":
            self.answer(200, b"<html>a captive portal</html>")
        elif fault == "currency":
            self.answer(200, {"finances": {"balance": "99.95", "currency": "KZT", "monthly_cost": None, "hours_left": None}})
        elif fault == "huge":
            self.answer(200, {"servers": [timeweb_server(i) for i in range(40000)], "meta": {"total": 40000}})
        elif fault == "redirect":
            self.answer(302, b"", [("Location", "http://127.0.0.1:1/elsewhere")])

    def allowed(self, path):
        if path.startswith("/compute/"):
            return self.headers.get("X-Auth-Token", "").startswith("signed-project-")
        return (self.headers.get("Authorization") == f"Bearer {TOKEN}" or self.headers.get("X-Token") == TOKEN
                or self.headers.get("X-Auth-Token", "").startswith("signed-account-"))

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        query = {k: v[-1] for k, v in urllib.parse.parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else b""
        log.write(json.dumps({"method": self.command, "path": self.path, "body": body.decode("utf-8", "replace")[:200].replace(PASSWORD, "PASSWORD")}) + "\n")
        if url.path.startswith("/fault/"):
            state["fault"] = url.path[7:]
            return self.answer(200, {})
        if url.path == "/identity/auth/tokens":
            auth = json.loads(body)["auth"]
            if auth["identity"]["password"]["user"]["password"] != PASSWORD:
                return self.answer(401, {"error": {"code": 401, "message": "wrong password"}})
            with lock:
                state["tokens"] += 1
            scope = "project" if "project" in auth["scope"] else "account"
            return self.answer(201, {"token": {}}, [("X-Subject-Token", f"signed-{scope}-{state['tokens']}")])
        if url.path == "/v0/servers":
            return self.answer(200, CATALOGUE)
        if url.path.startswith("/items"):
            if self.command == "POST":
                return self.answer(201, {"made": json.loads(body)})
            return self.answer(200, {"list": [{"id": 1, "deep": {"name": "first"}}, {"id": 2, "deep": {}}], "path": self.path})
        if url.path == "/":
            return self.answer(200, {})
        found = timeweb(url.path, query) or selectel(url.path, query)
        if not self.allowed(url.path):
            return self.answer(401, {"message": "Unauthorized"})
        if state["fault"] != "none" and (url.path != "/api/v1/account/finances" or state["fault"] == "currency"):
            return self.faulty(state["fault"], found)
        return self.answer(200 if found else 404, found or {"status_code": 404, "error_code": "not_found", "message": "Not found"})

    do_GET = do_POST = do_DELETE = do_PUT = handle_any


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # who asks may go before it is answered


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
