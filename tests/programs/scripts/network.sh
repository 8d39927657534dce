# Servers and clients over loopback: python's HTTP server with curl and wget, redis over TCP, iperf3, and ip.
set -u
export LC_ALL=C
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Waits until somebody listens on a port.
await() { python3 -c '
import socket, sys, time
for i in range(200):
    try: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close(); break
    except OSError: time.sleep(0.05)
' "$1"; }

echo "== http"
mkdir -p www && seq 1 20000 >www/numbers && echo hello >www/hello
p=$(port)
python3 -m http.server "$p" --bind 127.0.0.1 --directory www >/dev/null 2>&1 &
server=$!
await "$p"
curl -s "http://127.0.0.1:$p/hello"
curl -s "http://127.0.0.1:$p/numbers" | cksum
curl -s "http://localhost:$p/numbers" -r 100-199 | head -c 100 | cksum
curl -s -o /dev/null -w '%{http_code} %{remote_ip}\n' "http://127.0.0.1:$p/none"
wget -q -O - "http://127.0.0.1:$p/numbers" | tail -1
kill "$server"
wait "$server" 2>/dev/null
curl -s "http://127.0.0.1:$p/hello"
echo "refused: $?"

echo "== redis over TCP"
p=$(port)
redis-server --port "$p" --save "" --appendonly no >/dev/null 2>&1 &
await "$p"
redis-cli -p "$p" set key value
redis-cli -p "$p" get key
seq 1 2000 | sed 's/.*/INCR counter/' | redis-cli -p "$p" --pipe | tail -1
redis-cli -p "$p" get counter
redis-benchmark -p "$p" -t get,set,lpush -n 2000 -c 20 --csv 2>/dev/null | cut -d, -f1
redis-cli -p "$p" info clients | grep -c connected_clients
redis-cli -p "$p" shutdown nosave
wait

# The receiver stops to count when the sender says that it is done: how much has come by then differs.
echo "== iperf3"
p=$(port)
iperf3 -s -1 -p "$p" >/dev/null 2>&1 &
sleep 1
iperf3 -c 127.0.0.1 -p "$p" -n 50M -J | python3 -c 'import json, sys; r = json.load(sys.stdin)["end"]; print(r["sum_sent"]["bytes"] >= 50 << 20, r["sum_received"]["bytes"] > 0)'
wait
p=$(port)
iperf3 -s -1 -p "$p" >/dev/null 2>&1 &
sleep 1
iperf3 -c 127.0.0.1 -p "$p" -n 20M -P 4 -R -J | python3 -c 'import json, sys; r = json.load(sys.stdin)["end"]; print(len(r["streams"]))'
wait

echo "== python"
python3 - <<'END'
import asyncio, select, socket
async def main():
    async def serve(reader, writer):
        while data := await reader.readline():
            writer.write(data.upper())
            await writer.drain()
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async def ask(i):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answers = []
        for k in range(5):
            writer.write(b"line %d %d\n" % (i, k))
            answers.append(await reader.readline())
        writer.close()
        return len(answers), answers[-1]
    answers = await asyncio.gather(*(ask(i) for i in range(100)))
    print(len(answers), answers[0], answers[99])
    server.close()
asyncio.run(main())
server = socket.create_server(("::1", 0), family=socket.AF_INET6)
client = socket.create_connection(server.getsockname()[:2])
peer, address = server.accept()
print(address[0], peer.getsockname()[0])
client.send(b"abc")
print(peer.recv(10), select.select([peer], [peer], [], 0)[1] == [peer])
print(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM))
END

echo "== ip"
ip -o addr show dev lo | sed 's/ *\\.*//'
ip -o link show dev lo | sed 's/ *\\.*//'
ip route show table local dev lo | sort
