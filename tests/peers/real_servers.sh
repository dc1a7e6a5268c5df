#!/bin/sh
# Calls real MCP servers through the console's connector: installs pinned versions under build/peers with
# npm (Node 18 or newer), then runs the program given, once for each server, with MCPC_REAL_COMMAND,
# MCPC_REAL_TOOL and MCPC_REAL_ARGUMENTS set. Prints SKIP and ends with 77 where that is not possible.
# usage: tests/peers/real_servers.sh [PROGRAM]; tests/check runs it as real_servers.test
set -u
program=${1:-${MCPC_TOOLS:-build/asan/tests}/peers/mcp_real}
dir=build/peers
everything=@modelcontextprotocol/server-everything@2026.8.31
filesystem=@modelcontextprotocol/server-filesystem@2026.8.31

skip() { echo "SKIP real MCP servers: $1"; exit 77; }
command -v node >/dev/null 2>&1 || skip "node is not installed"
command -v npm >/dev/null 2>&1 || skip "npm is not installed"
major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) || skip "node does not run"
[ "$major" -ge 18 ] || skip "node $major is older than 18"
mkdir -p "$dir/files" || exit 1
if [ ! -e "$dir/installed" ] || [ "$(cat "$dir/installed")" != "$everything $filesystem" ]; then
    npm install --prefix "$dir" --no-audit --no-fund --loglevel=error "$everything" "$filesystem" >"$dir/npm.log" 2>&1 ||
        skip "npm cannot install them: $(tail -n 1 "$dir/npm.log")"
    echo "$everything $filesystem" >"$dir/installed"
fi
top=$PWD/$dir
echo "a line in a file" >"$top/files/note.txt"
status=0
MCPC_REAL_COMMAND="node $top/node_modules/@modelcontextprotocol/server-everything/dist/index.js" \
    MCPC_REAL_TOOL=echo MCPC_REAL_ARGUMENTS='{"message":"hello"}' MCPC_REAL_EXPECT=hello "$program" || status=1
MCPC_REAL_COMMAND="node $top/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js '$top/files'" \
    MCPC_REAL_TOOL=read_text_file MCPC_REAL_ARGUMENTS="{\"path\":\"$top/files/note.txt\"}" \
    MCPC_REAL_EXPECT="a line in a file" "$program" || status=1
# The same server on Streamable HTTP. It takes its port from the environment and does not say that it is there.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
PORT=$port node "$top/node_modules/@modelcontextprotocol/server-everything/dist/index.js" streamableHttp \
    >"$dir/http.log" 2>&1 </dev/null &
server=$!
trap 'kill $server 2>/dev/null' EXIT
tries=0
while ! python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || { tail -n 5 "$dir/http.log"; echo 'the HTTP server does not start'; exit 1; }
    sleep 0.2
done
MCPC_REAL_URL="http://localhost:$port/mcp" MCPC_REAL_TOOL=echo MCPC_REAL_ARGUMENTS='{"message":"hello"}' \
    MCPC_REAL_EXPECT=hello "$program" || status=1
exit $status
