// Shared, slave, private and unbindable mounts: what travels where when something is mounted, moved, bound and unmounted,
// within a mount namespace and between two; mountinfo's optional fields. mount_namespaces(7).
#include "check.h"
#include <sys/mount.h>

static char base[] = "/dev/shm/tsvisor-propagation-XXXXXX";
static const char *in(const char *name) {
  static char paths[4][128];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", base, name);
  return path;
}

/* The mounts below base, in the order of their names: name and optional fields, groups numbered as they appear. */
static void show(const char *name) {
  static char lines[64][256];
  char line[1024], out[480] = "";
  int count = 0, groups[64], known = 0;
  FILE *file = fopen("/proc/self/mountinfo", "r");
  while (fgets(line, sizeof line, file) != NULL && count < 64) {
    char point[256], fields[256] = "", *rest = strchr(line, '/');
    if (sscanf(line, "%*d %*d %*s %*s %255s", point) != 1) continue;
    if (strncmp(point, base, strlen(base)) != 0) continue;
    char *end = strstr(line, " - ");
    char *words = rest;
    for (int i = 0; i < 3 && words != NULL && words < end; i++) words = strchr(words + 1, ' ');
    if (words != NULL && words < end) snprintf(fields, sizeof fields, "%.*s", (int)(end - words), words);
    snprintf(lines[count++], sizeof lines[0], "%s%s", point + strlen(base), fields);
  }
  fclose(file);
  for (int i = 0; i < count; i++)
    for (int j = i + 1; j < count; j++)
      if (strcmp(lines[i], lines[j]) > 0) {
        char swap[256];
        strcpy(swap, lines[i]), strcpy(lines[i], lines[j]), strcpy(lines[j], swap);
      }
  for (int i = 0; i < count; i++) {
    strncat(out, i > 0 ? ";" : "", sizeof out - strlen(out) - 1);
    for (char *at = lines[i]; *at != 0 && strlen(out) < sizeof out - 8; at++) {
      strncat(out, at, 1);
      if (*at != ':') continue;
      int number = atoi(at + 1), index = 0;
      while (index < known && groups[index] != number) index++;
      if (index == known) groups[known++] = number;
      snprintf(out + strlen(out), 8, "%c", 'A' + index);
      while (at[1] >= '0' && at[1] <= '9') at++;
    }
  }
  say(name, "%s", out);
}
static int new_tmpfs(const char *name) {
  mkdir(in(name), 0755);
  return mount("t", in(name), "tmpfs", 0, NULL);
}
static int become(const char *name, int kind) { return mount(NULL, in(name), NULL, kind, NULL); }
static int bind_to(const char *from, const char *to, int more) {
  mkdir(in(to), 0755);
  return mount(in(from), in(to), NULL, MS_BIND | more, NULL);
}
static void clear(void) {
  while (umount2(base, MNT_DETACH) == 0) {}
  mount("base", base, "tmpfs", 0, NULL);
  mount(NULL, base, NULL, MS_PRIVATE, NULL);
}

static void types(void) {
  clear();
  new_tmpfs("a");
  show("private at first");
  EQUALS("shared", 0, become("a", MS_SHARED));
  show("is");
  EQUALS("a bind of it", 0, bind_to("a", "b", 0));
  show("is a peer");
  EQUALS("slave", 0, become("b", MS_SLAVE));
  show("has a master");
  EQUALS("shared too", 0, become("b", MS_SHARED));
  show("has both");
  EQUALS("a bind of that", 0, bind_to("b", "c", 0));
  show("has both too");
  EQUALS("which becomes a slave", 0, become("c", MS_SLAVE));
  show("of its last group");
  EQUALS("the only member left becomes one", 0, become("b", MS_SLAVE));
  show("of the first group, and its slave too");
  EQUALS("the first alone becomes one", 0, become("a", MS_SLAVE));
  show("is private, and so are its slaves");
  EQUALS("a private one becomes a slave", 0, become("a", MS_SLAVE));
  show("stays private");
  EQUALS("unbindable", 0, become("a", MS_UNBINDABLE));
  show("says so");
  FAILS("is not bound", EINVAL, bind_to("a", "d", 0));
  EQUALS("slave", 0, become("a", MS_SLAVE));
  show("an unbindable slave");
  EQUALS("shared", 0, become("a", MS_SHARED));
  show("is bindable");
  FAILS("two kinds at once", EINVAL, become("a", MS_SHARED | MS_PRIVATE));
  mkdir(in("plain"), 0755);
  FAILS("no mount", EINVAL, become("plain", MS_SHARED));
}

static void peers(void) {
  clear();
  new_tmpfs("a");
  become("a", MS_SHARED);
  bind_to("a", "b", 0);
  bind_to("a", "s", 0), become("s", MS_SLAVE);
  bind_to("s", "t", 0), become("t", MS_SHARED);
  bind_to("t", "u", 0);
  bind_to("t", "v", 0), become("v", MS_SLAVE);
  bind_to("a", "p", 0), become("p", MS_PRIVATE);
  show("at first");
  EQUALS("a mount on one", 0, new_tmpfs("a/x"));
  show("is on its peers and slaves");
  EQUALS("a mount on a slave", 0, new_tmpfs("s/y"));
  show("stays there");
  EQUALS("on a slave that is shared", 0, new_tmpfs("u/z"));
  show("is on its peers");
  EQUALS("a mount on a mount that has travelled", 0, new_tmpfs("b/x/deep"));
  show("travels as well");
  FAILS("unmounted while something is on it", EBUSY, umount(in("a/x")));
  EQUALS("unmounted on a peer", 0, umount(in("b/x/deep")));
  show("has gone everywhere");
  EQUALS("something on one copy only", 0, (become("s/x", MS_PRIVATE), new_tmpfs("s/x/own")));
  EQUALS("unmounted", 0, umount(in("a/x")));
  show("but where something is on it");
  int fd = open(in("a/y"), O_CREAT | O_RDWR, 0600);
  close(fd);
  new_tmpfs("a/w");
  fd = open(in("v/w"), O_RDONLY | O_DIRECTORY);
  FAILS("a copy is in use", EBUSY, umount(in("a/w")));
  EQUALS("gone all the same", 0, umount2(in("a/w"), MNT_DETACH));
  close(fd);
  show("all of them");
}

static void trees(void) {
  clear();
  new_tmpfs("from"), new_tmpfs("from/one"), new_tmpfs("from/two"), become("from/two", MS_UNBINDABLE), new_tmpfs("from/two/in");
  new_tmpfs("to"), become("to", MS_SHARED), bind_to("to", "peer", 0);
  mkdir(in("to/at"), 0755);
  EQUALS("a tree is bound", 0, mount(in("from"), in("to/at"), NULL, MS_BIND | MS_REC, NULL));
  show("without what is unbindable, everywhere");
  EQUALS("and goes", 0, umount2(in("peer/at"), MNT_DETACH));
  show("everywhere");
  FAILS("a tree with something unbindable moved to a shared mount", EINVAL, mount(in("from"), in("to/at"), NULL, MS_MOVE, NULL));
  become("from/two", MS_PRIVATE);
  EQUALS("moved", 0, mount(in("from"), in("to/at"), NULL, MS_MOVE, NULL));
  show("with all that is on it");
  mkdir(in("to/other"), 0755);
  FAILS("from a shared mount", EINVAL, mount(in("to/at"), in("to/other"), NULL, MS_MOVE, NULL));
  mkdir(in("plain"), 0755);
  FAILS("what is no mount", EINVAL, mount(in("plain"), in("to/other"), NULL, MS_MOVE, NULL));
  FAILS("into itself", ELOOP, (new_tmpfs("self"), mkdir(in("self/in"), 0755), mount(in("self"), in("self/in"), NULL, MS_MOVE, NULL)));
  FAILS("a file system on itself", EBUSY, ({ mkdir(in("m"), 0755); mount("mqueue", in("m"), "mqueue", 0, NULL); mount("mqueue", in("m"), "mqueue", 0, NULL); }));
}

static void beneath(void) {
  clear();
  new_tmpfs("a"), become("a", MS_SHARED), bind_to("a", "b", 0), become("b", MS_SLAVE);
  mkdir(in("a/x"), 0755);
  mount("mine", in("b/x"), "tmpfs", 0, NULL);
  close(open(in("b/x/mine"), O_CREAT | O_RDWR, 0600));
  EQUALS("mounted where a slave has something", 0, mount("theirs", in("a/x"), "tmpfs", 0, NULL));
  EQUALS("which stays on top", 0, access(in("b/x/mine"), F_OK));
  show("two there");
  EQUALS("unmounted", 0, umount(in("a/x")));
  EQUALS("it is still there", 0, access(in("b/x/mine"), F_OK));
  show("one there");
  bind_to("a", "part", 0);
  mkdir(in("a/dir"), 0755), mkdir(in("a/dir/sub"), 0755);
  mkdir(in("d"), 0755);
  mount(in("a/dir"), in("d"), NULL, MS_BIND, NULL);
  EQUALS("a mount within a part that is bound", 0, new_tmpfs("a/dir/sub"));
  EQUALS("and one outside of it", 0, new_tmpfs("a/x"));
  show("travels where it can be seen");
}

static void namespaces(void) {
  int go[2], done[2];
  char byte;
  clear();
  new_tmpfs("a"), become("a", MS_SHARED), new_tmpfs("p");
  if (pipe(go) < 0 || pipe(done) < 0) _exit(1);
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWNS);
    show("another namespace: the same groups");
    new_tmpfs("a/child"), new_tmpfs("p/child");
    write(done[1], "x", 1);
    read(go[0], &byte, 1);
    show("what the first has mounted since");
    become("a", MS_SLAVE);
    new_tmpfs("a/slave");
    write(done[1], "x", 1);
    read(go[0], &byte, 1);
    show("what a slave sees");
    become("a", MS_PRIVATE);
    write(done[1], "x", 1);
    read(go[0], &byte, 1);
    show("what a private one sees");
    _exit(0);
  }
  read(done[0], &byte, 1);
  show("the first: what was mounted on the shared mount");
  new_tmpfs("a/parent");
  write(go[1], "x", 1), read(done[0], &byte, 1);
  show("nothing from a slave");
  new_tmpfs("a/later"), umount(in("a/parent"));
  write(go[1], "x", 1), read(done[0], &byte, 1);
  new_tmpfs("a/last");
  write(go[1], "x", 1);
  EQUALS("it ends", 0, wait_code(child));
  show("in the end");
}

static void masters(void) {
  clear();
  new_tmpfs("a"), become("a", MS_SHARED);
  bind_to("a", "b", 0), become("b", MS_SLAVE), become("b", MS_SHARED);
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWNS);
    bind_to("b", "c", 0), become("c", MS_SLAVE);
    umount(in("b"));
    show("the nearest master that is here");
    umount(in("a"));
    show("none is here");
    _exit(0);
  }
  wait_code(child);
  umount(in("b"));
  show("its slaves elsewhere are gone with their namespace");
}

static void roots(void) {
  clear();
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWNS);
    new_tmpfs("root"), mkdir(in("root/old"), 0755);
    become("root", MS_SHARED);
    mkdir(in("root/old2"), 0755);
    FAILS("the old root below a shared mount", EINVAL, syscall(SYS_pivot_root, in("root"), in("root/old")));
    become("root", MS_PRIVATE);
    mount(NULL, base, NULL, MS_SHARED, NULL);
    FAILS("a new root on a shared mount", EINVAL, syscall(SYS_pivot_root, in("root"), in("root/old")));
    mount(NULL, base, NULL, MS_PRIVATE, NULL);
    EQUALS("the new root", 0, syscall(SYS_pivot_root, in("root"), in("root/old")));
    EQUALS("is the root", 0, access("/old2", F_OK));
    EQUALS("and the old one is below it", 0, access("/old/dev/null", F_OK));
    EQUALS("which goes", 0, umount2("/old", MNT_DETACH));
    FAILS("and is gone", ENOENT, access("/old/dev/null", F_OK));
    EQUALS("a root in the place of the root", 0, (mkdir("/new", 0755), mount("t", "/new", "tmpfs", 0, NULL), chdir("/new"), syscall(SYS_pivot_root, ".", ".")));
    EQUALS("the old one is on top of it", 0, umount2(".", MNT_DETACH));
    FAILS("and gone", ENOENT, access("/old2", F_OK));
    _exit(0);
  }
  wait_code(child);
}

int main(void) {
  mkdtemp(base);
  unshare(CLONE_NEWNS);
  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
  types();
  peers();
  trees();
  beneath();
  namespaces();
  masters();
  roots();
  while (umount2(base, MNT_DETACH) == 0) {}
  rmdir(base);
  return 0;
}
