# Run by bash with a folder of compiled programs: they are built on the host, and run here.
echo "== go"; "$1/tour-go"; echo $?
echo "== rust"; "$1/tour-rs"; echo $?; "$1/tour-rs-static" | md5sum
echo "== versions"; runc --version | head -n 1; go version | cut -c1-15; cargo --version | cut -c1-5; deno --version | head -n 1
