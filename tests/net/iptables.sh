# Run in a network namespace of its own, on the host and in a sandbox: iptables' first interface, as its own programs use it.
# Prints what must be the same on both sides.
set -u
tool=${1:-iptables-legacy}
address=127.0.0.1 icmp=icmp echo="--icmp-type 8"
[ "$tool" = iptables-legacy ] || { address=::1 icmp=ipv6-icmp echo="--icmpv6-type 128"; }
ip link set lo up
try() { "$@" 2>&1; echo "$* -> $?"; }
$tool -nvL
try $tool -N SERVICES
try $tool -A INPUT -i lo -p tcp -m multiport --dports 8100,8110:8119 -m comment --comment "two words" -j SERVICES
try $tool -A SERVICES -p tcp --dport 8100 -j REJECT --reject-with tcp-reset
try $tool -A SERVICES -p tcp ! --dport 8115 -g LAST
try $tool -N LAST
try $tool -A SERVICES -p tcp ! --dport 8115 -g LAST
try $tool -A LAST -m state --state RELATED,ESTABLISHED -j ACCEPT
try $tool -A LAST -m conntrack --ctstate NEW -j REJECT
try $tool -I OUTPUT 1 -m owner --uid-owner 4999 -j DROP
try $tool -A INPUT -p $icmp $echo -m limit --limit 1/hour --limit-burst 2 -j ACCEPT
try $tool -A INPUT -p $icmp $echo -j DROP
try $tool -t nat -A OUTPUT -p tcp --dport 8300 -j REDIRECT --to-ports 8200
try $tool -t nat -A POSTROUTING -o eth+ -j MASQUERADE
try $tool -t mangle -A OUTPUT -p tcp --dport 8400 -j MARK --set-xmark 0x5/0xff
try $tool -A OUTPUT -m mark --mark 0x5/0xf -j REJECT
try $tool -t raw -A OUTPUT -p udp -m addrtype --dst-type LOCAL -j NOTRACK
try $tool -P FORWARD DROP
try $tool -A FORWARD -s $address ! -d $address -j LOG --log-prefix "seen: "
try $tool -A LAST -j SERVICES
try $tool -X LAST
try $tool -A INPUT -j NOTHING
try $tool -t nothing -L
try $tool -D INPUT 9
python3 - $address <<'END'
import errno, socket, sys
address = sys.argv[1]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
def serve(port):
    s = socket.socket(family); s.bind((address, port)); s.listen(); return s
servers = {port: serve(port) for port in (8100, 8110, 8115, 8200, 8400)}
for port in (8100, 8110, 8115, 8200, 8300, 8400):
    c = socket.socket(family); c.settimeout(60)
    try:
        c.connect((address, port))
        accepted, peer = servers[8200 if port == 8300 else port].accept()
        accepted.sendall(b"x" * 1000); accepted.close()
        got = b""
        while part := c.recv(4096): got += part
        print(port, "answers", len(got), c.getpeername()[1])
    except OSError as error:
        print(port, errno.errorcode.get(error.errno, error))
    c.close()
END
counts() { "$@" -nvx | awk 'NR > 2 { print $1, $3 }'; }
counts $tool -t nat -L OUTPUT
# Two pings are within the burst of the limit; no more.
ping -c 3 -W 5 -i 0.2 -q $address 2>/dev/null | grep transmitted | cut -d, -f 1,2
counts $tool -L INPUT | tail -n 2
$tool -Z; counts $tool -L INPUT
saved=$(mktemp)
$tool-save -c | grep -v '^#' >"$saved"
sed 's/\[[0-9]*:[0-9]*\]/[n:n]/' "$saved"
cat /proc/net/ip*_tables_names | sort -u
for table in filter nat mangle raw; do $tool -t $table -F; $tool -t $table -X; done
$tool -P FORWARD ACCEPT
$tool -S
try $tool-restore -c <"$saved"
$tool-save -c | grep -v '^#' | diff - "$saved" && echo as it was
rm "$saved"
