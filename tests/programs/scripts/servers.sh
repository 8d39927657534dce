# Run by bash: servers that are driven over Unix sockets: redis and nginx.
echo "== redis"
redis-server --port 0 --unixsocket $PWD/redis.sock --dir $PWD --save '' --daemonize yes --pidfile $PWD/redis.pid --logfile $PWD/redis.log > /dev/null
cli() { redis-cli -s $PWD/redis.sock "$@"; }
for i in $(seq 50); do cli ping > /dev/null 2>&1 && break; sleep 0.1; done
cli set a 1; cli incr a; cli rpush l x y z; cli lrange l 0 -1; cli eval 'return redis.call("incr", KEYS[1])' 1 a
seq 1000 | awk '{print "set k" $1 " " $1}' | cli --pipe | tail -n 1; cli dbsize; (timeout 1 redis-cli -s $PWD/redis.sock subscribe c & sleep 0.4; cli publish c message > published; wait); cat published
cli blpop nolist 1; cli multi > /dev/null; redis-benchmark -s $PWD/redis.sock -n 2000 -c 10 -P 4 -t get,set -q | tr '\r' '\n' | grep -c 'per second'
cli bgsave; for i in $(seq 50); do cli info persistence | grep -q 'rdb_bgsave_in_progress:0' && break; sleep 0.1; done; ls dump.rdb; cli config set appendonly yes; sleep 0.5; ls -d append*; cli client list | wc -l
cli shutdown nosave; for i in $(seq 50); do [ -e redis.pid ] || break; sleep 0.1; done; ls redis.sock 2>&1; redis-server --port 0 --unixsocket $PWD/redis.sock --dir $PWD --appendonly yes > log2 & for i in $(seq 50); do [ "$(cli dbsize 2>/dev/null)" = 1003 ] && break; sleep 0.1; done; cli dbsize; kill %1; wait %1; echo $?
echo "== nginx"
command -v nginx > /dev/null || { echo none; exit 0; }
mkdir -p www logs; head -c 300000 /dev/zero | tr '\0' n > www/big; echo index > www/index.html
printf 'daemon on; user root; pid %s/nginx.pid; error_log %s/logs/error.log;\nworker_processes 2;\nevents { worker_connections 64; }\nhttp { access_log logs/access.log; sendfile on; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\nserver { listen unix:%s/nginx.sock; root %s/www; location /proxy/ { proxy_pass http://unix:%s/nginx.sock:/; } location /gone { return 410; } } }\n' $PWD $PWD $PWD $PWD $PWD > nginx.conf
nginx -p $PWD -c $PWD/nginx.conf -t 2>&1 | tail -n 1 | grep -o 'test is.*'; nginx -p $PWD -c $PWD/nginx.conf; for i in $(seq 50); do [ -S nginx.sock ] && [ -s nginx.pid ] && break; sleep 0.1; done
get() { curl -s --max-time 10 --unix-socket nginx.sock "http://localhost/$1"; }
get; get big | md5sum; get proxy/big | md5sum; curl -s -o /dev/null -w '%{http_code}\n' --unix-socket nginx.sock http://localhost/gone; seq 20 | xargs -P 5 -I{} curl -s --unix-socket nginx.sock http://localhost/ | sort | uniq -c
nginx -p $PWD -c $PWD/nginx.conf -s reload; sleep 0.5; get; sort logs/access.log | awk '{print $7, $9, $10}' | sort | uniq -c; nginx -p $PWD -c $PWD/nginx.conf -s quit; for i in $(seq 50); do [ -e nginx.pid ] || break; sleep 0.1; done; ls nginx.pid 2>&1
