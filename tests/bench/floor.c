/* The floor: a container start in C with the system calls that ours makes, nothing waiting for anybody else.
 *
 *     cc -O2 -o floor floor.c
 *     floor LOWER WORK FIFO SECCOMP_FILE CGROUP_BASE...
 *
 * Each line on standard input starts one container and prints the milliseconds from there to the moment when its
 * program (/bin/sh -c "echo > /fifo; exec sleep 1000") wrote into FIFO, and the milliseconds of its whole life.
 * The pod's part (network, ipc and uts namespaces, the tmpfs of /dev/shm) is made once, before.
 * CGROUP_BASE: one directory for each v1 hierarchy, or a single one on v2 (entered with CLONE_INTO_CGROUP).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#define NO_PRIVILEGE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)

static const char *lower, *work, *fifo_path;
static struct sock_fprog filter;
static char **bases;
static int base_count, unified, last_capability;

static void must(long result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
        _exit(1);
    }
}

static double now_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e3 + at.tv_nsec / 1e6;
}

static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    must(fd, path);
    must(write(fd, text, strlen(text)), path);
    close(fd);
}

static void put_in(const char *base, const char *name, const char *file, const char *text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s", base, name, file);
    put(path, text);
}

static int new_mount(const char *kind, const char *const *options, unsigned attributes) {
    int fs = syscall(SYS_fsopen, kind, FSOPEN_CLOEXEC);
    must(fs, kind);
    for (; options[0]; options += 2)
        must(syscall(SYS_fsconfig, fs, options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[0], options[1], 0),
             options[0]);
    must(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0), kind);
    int tree = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
    must(tree, kind);
    close(fs);
    return tree;
}

static int find(int directory, const char *path) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = BENEATH};
    return syscall(SYS_openat2, directory, path, &how, sizeof how);
}

static void attach(int tree, int target) {
    must(syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH), "move_mount");
    close(target);
}

static void place(int tree, int directory, const char *path) {
    int target = find(directory, path);
    if (target < 0) {
        must(mkdirat(directory, path, 0755), path);
        target = find(directory, path);
    }
    must(target, path);
    attach(tree, target);
}

static int copy_of(int fd) {
    int tree = syscall(SYS_open_tree, fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    must(tree, "open_tree");
    return tree;
}

static void make_cgroup(const char *name) {
    for (int i = 0; i < base_count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", bases[i], name);
        must(mkdir(path, 0755), path);
        if (unified || strstr(bases[i], "/memory/"))
            put_in(bases[i], name, unified ? "memory.max" : "memory.limit_in_bytes", "67108864");
        if (unified || strstr(bases[i], "/pids/")) put_in(bases[i], name, "pids.max", "100");
        if (!unified && strstr(bases[i], "/cpu/")) put_in(bases[i], name, "cpu.shares", "512");
        if (!unified && strstr(bases[i], "/devices/")) {
            static const char *rules[] = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
                                          "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm", 0};
            put_in(bases[i], name, "devices.deny", "a");
            for (const char **rule = rules; *rule; rule++) put_in(bases[i], name, "devices.allow", *rule);
        }
    }
}

static void make_dev(int root, int shared) {
    static const struct { const char *name; int major, minor; } devices[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const char *const links[][2] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
        {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}};
    int dev = new_mount("tmpfs", (const char *[]){"mode", "755", "size", "64k", 0}, MOUNT_ATTR_NOSUID);
    place(dev, root, "dev");
    umask(0);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        must(mknodat(dev, devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)), "mknod");
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) must(symlinkat(links[i][0], dev, links[i][1]), "symlink");
    umask(022);
    int pts = new_mount("devpts", (const char *[]){"newinstance", 0, "ptmxmode", "0666", "mode", "0620", "gid", "5", 0},
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    place(pts, dev, "pts");
    place(new_mount("mqueue", (const char *[]){0}, NO_PRIVILEGE), dev, "mqueue");
    place(copy_of(shared), dev, "shm");
    close(dev);
}

static void make_sys(int root, const char *name) {
    int sys = new_mount("sysfs", (const char *[]){0}, NO_PRIVILEGE | MOUNT_ATTR_RDONLY);
    place(sys, root, "sys");
    if (unified) {
        place(new_mount("cgroup2", (const char *[]){0}, NO_PRIVILEGE | MOUNT_ATTR_RDONLY), sys, "fs/cgroup");
        return;
    }
    int shown = new_mount("tmpfs", (const char *[]){"mode", "755", "size", "16k", 0}, NO_PRIVILEGE);
    place(shown, sys, "fs/cgroup");
    for (const char *const *controller = (const char *[]){"memory", "cpu", "cpuacct", "pids", 0}; *controller; controller++) {
        char part[64];
        snprintf(part, sizeof part, "/%s/", *controller);
        for (int i = 0; i < base_count; i++) {
            char path[4096];
            if (!strstr(bases[i], part)) continue;
            snprintf(path, sizeof path, "%s/%s", bases[i], name);
            int own = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
            must(own, path);
            int tree = copy_of(own);
            struct mount_attr attributes = {.attr_set = NO_PRIVILEGE | MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
            must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes), "mount_setattr");
            place(tree, shown, *controller);
            close(tree);
            close(own);
        }
    }
    struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
    must(syscall(SYS_mount_setattr, shown, "", AT_EMPTY_PATH, &readonly, sizeof readonly), "mount_setattr");
}

static void hide(int root) {
    static const char *const masked[] = {"proc/asound", "proc/acpi", "proc/kcore", "proc/keys", "proc/latency_stats",
        "proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi", "proc/interrupts", "sys/firmware",
        "sys/devices/virtual/powercap", 0};
    static const char *const sealed[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger", 0};
    int empty = -1;
    for (const char *const *path = masked; *path; path++) {
        struct stat status;
        int target = find(root, *path);
        if (target < 0) continue;
        fstat(target, &status);
        if (!S_ISDIR(status.st_mode)) {
            int null = find(root, "dev/null");
            attach(copy_of(null), target);
        } else if (empty < 0) {
            empty = new_mount("tmpfs", (const char *[]){"mode", "755", "size", "4k", 0}, NO_PRIVILEGE | MOUNT_ATTR_RDONLY);
            attach(empty, target);
        } else {
            attach(copy_of(empty), target);
        }
    }
    for (const char *const *path = sealed; *path; path++) {
        int target = find(root, *path);
        if (target < 0) continue;
        int tree = copy_of(target);
        struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
        must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &readonly, sizeof readonly), "mount_setattr");
        attach(tree, target);
    }
}

static void drop_privileges(void) {
    uint64_t keep = 0;
    static const int kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER, CAP_MKNOD, CAP_NET_RAW, CAP_SETGID,
        CAP_SETUID, CAP_SETFCAP, CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_KILL, CAP_AUDIT_WRITE};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) keep |= 1ULL << kept[i];
    for (int i = 0; i <= last_capability; i++)
        if (!(keep >> i & 1)) must(prctl(PR_CAPBSET_DROP, i, 0, 0, 0), "capbset");
    must(syscall(SYS_setgroups, 0, 0), "setgroups");
    must(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
    must(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{keep, keep, 0}, {keep >> 32, keep >> 32, 0}};
    must(syscall(SYS_capset, &header, data), "capset");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    must(syscall(SYS_seccomp, 1, 0, &filter), "seccomp");
}

static void be_container(const char *name, int overlay, int fifo, int shared) {
    setsid();
    if (!unified)
        for (int i = 0; i < base_count; i++) put_in(bases[i], name, "tasks", "0");
    must(unshare(CLONE_NEWCGROUP), "unshare");
    int target = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
    attach(overlay, target);
    place(new_mount("proc", (const char *[]){0}, NO_PRIVILEGE), overlay, "proc");
    make_dev(overlay, shared);
    make_sys(overlay, name);
    place(fifo, overlay, "fifo");
    hide(overlay);
    must(fchdir(overlay), "fchdir");
    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "umount");
    must(chdir("/"), "chdir");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++) dup2(null, i);
    drop_privileges();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    execle("/bin/sh", "/bin/sh", "-c", "echo > /fifo; exec sleep 1000", (char *)0,
           (char *[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", 0});
    _exit(127);
}

static pid_t start(int number, int shared) {
    char name[64], upper[4096], inner[4096];
    snprintf(name, sizeof name, "floor%d", number);
    snprintf(upper, sizeof upper, "%s/%s.u", work, name);
    snprintf(inner, sizeof inner, "%s/%s.w", work, name);
    make_cgroup(name);
    must(mkdir(upper, 0755), upper);
    must(mkdir(inner, 0755), inner);
    int overlay = new_mount("overlay", (const char *[]){"lowerdir+", lower, "upperdir", upper, "workdir", inner,
                                                         "volatile", 0, 0}, 0);
    int fifo = syscall(SYS_open_tree, AT_FDCWD, fifo_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    must(fifo, fifo_path);
    struct clone_args arguments = {.flags = CLONE_NEWNS | CLONE_NEWPID, .exit_signal = SIGCHLD};
    if (unified) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", bases[0], name);
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    pid_t pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    must(pid, "clone3");
    if (pid == 0) be_container(name, overlay, fifo, shared);
    close(overlay);
    close(fifo);
    return pid;
}

static void end(pid_t pid, int number) {
    char path[4096];
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    for (int i = 0; i < base_count; i++) {
        snprintf(path, sizeof path, "%s/floor%d", bases[i], number);
        must(rmdir(path), path);
    }
}

static void read_filter(const char *path) {
    static char program[1 << 16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd, path);
    ssize_t size = read(fd, program, sizeof program);
    must(size, path);
    close(fd);
    filter.len = size / sizeof(struct sock_filter);
    filter.filter = (struct sock_filter *)program;
}

int main(int count, char **arguments) {
    char line[64];
    if (count < 6) return 2;
    lower = arguments[1];
    work = arguments[2];
    fifo_path = arguments[3];
    read_filter(arguments[4]);
    bases = arguments + 5;
    base_count = count - 5;
    for (int i = 0; i < base_count; i++) must(mkdir(bases[i], 0755), bases[i]);
    char probe[4096];
    snprintf(probe, sizeof probe, "%s/cgroup.controllers", bases[0]);
    unified = access(probe, F_OK) == 0;
    while (prctl(PR_CAPBSET_READ, last_capability + 1, 0, 0, 0) >= 0) last_capability++;
    int fifo = open(fifo_path, O_RDWR | O_CLOEXEC);
    must(fifo, fifo_path);
    must(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), "unshare");
    must(mount("", "/", "", MS_REC | MS_PRIVATE, 0), "private");
    int shared = new_mount("tmpfs", (const char *[]){"mode", "1777", "size", "67108864", 0}, NO_PRIVILEGE);
    for (int number = 0; fgets(line, sizeof line, stdin); number++) {
        double began = now_ms();
        pid_t pid = start(number, shared);
        struct pollfd written = {fifo, POLLIN, 0};
        if (poll(&written, 1, 5000) != 1) must((errno = ETIMEDOUT, -1), "no word from the container");
        double first = now_ms();
        must(read(fifo, line, sizeof line), "fifo");
        end(pid, number);
        printf("%.4f %.4f\n", first - began, now_ms() - began);
        fflush(stdout);
    }
    for (int i = 0; i < base_count; i++) rmdir(bases[i]);
    return 0;
}
