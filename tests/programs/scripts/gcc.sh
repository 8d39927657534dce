# Run by bash: compilers, what they make, make itself, debuggers' helpers.
echo "== C"
cat > a.c <<'C'
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static _Atomic int counter; static __thread int mine;
static void *work(void *p) { for (int i = 0; i < 1000; i++) counter++, mine++; return (void *)(long)mine; }
__attribute__((constructor)) static void first(void) { puts("constructor"); }
static void last(void) { puts("atexit"); }
int main(int argc, char **argv) {
  atexit(last); pthread_t t[8]; long sum = 0; void *r;
  for (int i = 0; i < 8; i++) pthread_create(&t[i], NULL, work, NULL);
  for (int i = 0; i < 8; i++) pthread_join(t[i], &r), sum += (long)r;
  printf("%d %ld %d %.3f %s\n", counter, sum, mine, sqrt(2), argc > 1 ? argv[1] : getenv("HOME")); return 3;
}
C
gcc -O2 -Wall -pthread a.c -o a -lm && ./a arg; echo $?; export ASAN_OPTIONS=detect_leaks=0; for flags in "-static" "-static-pie -fPIE" "-pie -fPIE" "-no-pie" "-O0 -g -fsanitize=address" "-fsanitize=undefined" "-pg"; do gcc $flags -pthread a.c -o b -lm && ./b "$flags"; echo $?; done
printf 'int plugin(int n) { return n * 2; }' > p.c; gcc -shared -fPIC p.c -o p.so
printf '#include <dlfcn.h>\n#include <stdio.h>\nint main(void) { void *h = dlopen("./p.so", RTLD_NOW); printf("%%d\\n", ((int (*)(int))dlsym(h, "plugin"))(21)); return dlclose(h); }' > q.c; gcc q.c -o q && ./q
gcc -c nosuch.c 2>&1 | head -n 1; echo 'int main(' | gcc -x c - 2>&1 | grep -c error; ar rc lib.a p.c && nm -g p.so | grep -c plugin; strip q && ./q; ldd ./a | grep -c libc; file a 2>/dev/null | cut -c1-20; objdump -d q | grep -c main; readelf -h q | grep Type; gcc -E a.c | md5sum; gcc -S -O1 p.c -o - | grep -c plugin
echo "== C++"
cat > a.cc <<'C'
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>
int main() {
  std::vector<std::future<long>> parts; for (long i = 0; i < 8; i++) parts.push_back(std::async(std::launch::async, [i] { long n = 0; for (long k = 0; k < 10000; k++) n += k * i; return n; }));
  long sum = 0; for (auto &p : parts) sum += p.get(); std::cout << sum << "\n";
  try { throw std::runtime_error("thrown"); } catch (const std::exception &e) { std::cout << e.what() << "\n"; }
  std::mutex m; std::condition_variable c; bool go = false; std::thread t([&] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); std::lock_guard<std::mutex> l(m); go = true; c.notify_one(); });
  { std::unique_lock<std::mutex> l(m); c.wait(l, [&] { return go; }); } t.join();
  namespace fs = std::filesystem; fs::create_directories("x/y"); std::ofstream("x/y/z") << "text"; for (auto &e : fs::recursive_directory_iterator("x")) std::cout << e.path() << "\n"; std::cout << fs::file_size("x/y/z") << fs::remove_all("x") << "\n";
  try { fs::file_size("nosuch"); } catch (const fs::filesystem_error &e) { std::cout << e.what() << "\n"; }
  std::vector<int> v(200000); for (size_t i = 0; i < v.size(); i++) v[i] = i * 7919 % 200003; std::sort(v.begin(), v.end()); std::cout << v[1000] << "\n"; std::map<std::string, int> w{{"a", 1}}; return w["a"] + 1;
}
C
g++ -std=c++20 -O1 -pthread a.cc -o cc && ./cc; echo $?
echo "== make -j4"
mkdir -p proj/src; for i in $(seq 12); do echo "int f$i(void) { return $i; }" > proj/src/f$i.c; done
{ for i in $(seq 12); do echo "int f$i(void);"; done; echo '#include <stdio.h>'; echo 'int main(void) { printf("%d\n", 0'; for i in $(seq 12); do echo "+ f$i()"; done; echo '); return 0; }'; } > proj/src/main.c
printf 'SRC := $(wildcard src/*.c)\nOBJ := $(SRC:src/%%.c=o/%%.o)\nall: prog\n\t@./prog\nprog: $(OBJ)\n\t@$(CC) -o $@ $^\no/%%.o: src/%%.c | o\n\t@$(CC) -O1 -MMD -c $< -o $@\no:\n\t@mkdir o\nbad:\n\t@exit 3\n-include o/*.d\n' > proj/Makefile
make -C proj -j4 -s; make -C proj -s; touch proj/src/f3.c; make -C proj -n | grep -c f3; make -C proj -s bad 2>&1 | tail -n 1; echo $?; make -C proj -j8 -O -s all; ls proj/o/*.o | wc -l
