// The first process of the micro image: mounts, modules, network link, and the few processes that make a guest.
//
// It stays small and forks nothing it can do itself, because under emulation every fork costs milliseconds of boot.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINK "eth0"

// A process that is kept running while `wanted`; one that ends is started again after a second.
struct child {
    char *const *arguments;
    const char *terminal; // its controlling terminal, or null
    bool wanted;
    pid_t pid;
    long long restart_at; // milliseconds, 0 = not waiting
};

static char *const agent_arguments[] = {"/sbin/warren-agent", NULL};
static char *const shell_arguments[] = {"-sh", NULL};
static char *const http_arguments[] = {"/usr/sbin/httpd", "-f", "-p", "80", "-h", "/srv", NULL};
static char *const dhcp_arguments[] = {"/sbin/udhcpc", "-f", "-i", LINK, "-s", "/etc/udhcpc.script", "-t", "4",
                                       "-T", "1", "-A", "1", "-O", "search", "-O", "mtu", "-O", "hostname", NULL};

static char *const dhcp6_arguments[] = {"/sbin/dhcp6", LINK, "/etc/udhcpc.script", NULL};

enum { AGENT, SHELL, HTTP, DHCP, DHCP6, CHILD_COUNT };
static struct child children[CHILD_COUNT] = {
    [AGENT] = {.arguments = agent_arguments, .wanted = true},
    [SHELL] = {.arguments = shell_arguments, .terminal = "/dev/ttyS0", .wanted = true},
    [HTTP] = {.arguments = http_arguments, .wanted = true},
    [DHCP] = {.arguments = dhcp_arguments},
    [DHCP6] = {.arguments = dhcp6_arguments},
};

static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=vt100", NULL};
static sigset_t blocked_signals;

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void say(const char *format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length < 0) return;
    if (length > (int)sizeof line - 2) length = sizeof line - 2;
    line[length++] = '\n';
    if (write(2, line, (size_t)length) < 0) return;
}

static void write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return;
    if (write(file, text, strlen(text)) < 0) say("init: %s: %s", path, strerror(errno));
    close(file);
}

// Every boot is a machine of its own; a copy of a saved guest gets another id by its agent.
static void make_machine_id(void) {
    char text[64] = "", id[34];
    int file = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC), length = 0;
    if (file < 0) return;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    for (char *next = text; *next && *next != '\n' && length < 32; next++)
        if (*next != '-') id[length++] = *next;
    id[length++] = '\n';
    id[length] = 0;
    write_file("/etc/machine-id", id);
}

static void mount_all(void) {
    static const struct { const char *type, *path; unsigned long flags; const char *options; } table[] = {
        {"devtmpfs", "/dev", MS_NOSUID, "mode=0755"},
        {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
        {"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
        {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666"},
        {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"},
        {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"},
        {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        mkdir(table[i].path, 0755);
        if (mount(table[i].type, table[i].path, table[i].type, table[i].flags, table[i].options) < 0)
            say("init: mount %s: %s", table[i].path, strerror(errno));
    }
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    if (console >= 0) {
        for (int i = 0; i < 3; i++) dup2(console, i);
        if (console > 2) close(console);
    }
}

// Loads the modules named in `list`, one path a line, dependencies before their users.
static void load_modules(const char *list) {
    FILE *file = fopen(list, "re");
    if (!file) return;
    char path[256];
    while (fgets(path, sizeof path, file)) {
        path[strcspn(path, "\n")] = 0;
        int module = open(path, O_RDONLY | O_CLOEXEC);
        if (module < 0 || (syscall(SYS_finit_module, module, "", 0) < 0 && errno != EEXIST))
            say("init: %s: %s", path, strerror(errno));
        if (module >= 0) close(module);
    }
    fclose(file);
}

static void raise_interface(const char *name) {
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (control >= 0 && ioctl(control, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        ioctl(control, SIOCSIFFLAGS, &request);
    }
    if (control >= 0) close(control);
}

// A number that the kernel tells of the interface; 0 when it tells none.
static long link_number(const char *path) {
    char text[32] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) <= 0) text[0] = 0;
    close(file);
    return strtol(text, NULL, 10);
}

static bool carrier_is_up(void) { return link_number("/sys/class/net/" LINK "/carrier") == 1; }

// How often the carrier came: one that went and came between two looks is a new one as well.
static long carrier_count(void) { return link_number("/sys/class/net/" LINK "/carrier_up_count"); }

static void start(struct child *child) {
    child->restart_at = 0;
    pid_t pid = fork();
    if (pid < 0) {
        child->restart_at = now_ms() + 1000;
        return;
    }
    if (pid > 0) {
        child->pid = pid;
        return;
    }
    sigprocmask(SIG_UNBLOCK, &blocked_signals, NULL);
    setsid();
    if (child->terminal) {
        int terminal = open(child->terminal, O_RDWR);
        if (terminal < 0) _exit(127);
        ioctl(terminal, TIOCSCTTY, 1);
        for (int i = 0; i < 3; i++) dup2(terminal, i);
        if (terminal > 2) close(terminal);
        if (chdir("/root") < 0) _exit(127);
    }
    const char *program = child->arguments[0][0] == '-' ? "/bin/sh" : child->arguments[0];
    execve(program, child->arguments, environment);
    _exit(127);
}

// A new carrier is a new place: the clients start over, so that they ask at once instead of finishing their back-off.
static void carrier_changed(bool up) {
    for (struct child *client = &children[DHCP]; client <= &children[DHCP6]; client++) {
        client->wanted = up;
        if (client->pid > 0) kill(client->pid, SIGKILL);
        else if (up) start(client);
    }
}

static void reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < CHILD_COUNT; i++) {
            if (children[i].pid != pid) continue;
            children[i].pid = 0;
            if (!children[i].wanted) continue;
            bool replaced = i >= DHCP && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            if (replaced) start(&children[i]);
            else children[i].restart_at = now_ms() + 1000;
        }
    }
}

static void leave(int how) {
    for (int i = 0; i < CHILD_COUNT; i++) children[i].wanted = false;
    kill(-1, SIGTERM);
    kill(-1, SIGCONT);
    long long deadline = now_ms() + 1000;
    // A shell ignores SIGTERM and hangs up instead.
    kill(-1, SIGHUP);
    while (now_ms() < deadline) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD) break;
        if (pid == 0) usleep(5000);
    }
    kill(-1, SIGKILL);
    sync();
    reboot(how);
    for (;;) pause();
}

static int open_link_events(void) {
    int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    if (events >= 0 && bind(events, (struct sockaddr *)&address, sizeof address) < 0) {
        close(events);
        events = -1;
    }
    return events;
}

// The ACPI power button, once its input device exists; -1 without one.
static int open_power_button(void) {
    DIR *directory = opendir("/dev/input");
    if (!directory) return -1;
    int button = -1;
    for (struct dirent *entry; button < 0 && (entry = readdir(directory));) {
        if (strncmp(entry->d_name, "event", 5)) continue;
        char path[300];
        snprintf(path, sizeof path, "/dev/input/%s", entry->d_name);
        int device = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (device < 0) continue;
        unsigned char keys[KEY_MAX / 8 + 1] = {0};
        if (ioctl(device, EVIOCGBIT(EV_KEY, sizeof keys), keys) >= 0 && keys[KEY_POWER / 8] >> KEY_POWER % 8 & 1)
            button = device;
        else
            close(device);
    }
    closedir(directory);
    return button;
}

static bool button_was_pressed(int button) {
    struct input_event event;
    while (read(button, &event, sizeof event) == sizeof event)
        if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) return true;
    return false;
}

int main(void) {
    if (getpid() != 1) return 1;
    reboot(RB_DISABLE_CAD);
    mount_all();
    sigemptyset(&blocked_signals);
    int watched[] = {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) sigaddset(&blocked_signals, watched[i]);
    sigprocmask(SIG_BLOCK, &blocked_signals, NULL);
    int signals = signalfd(-1, &blocked_signals, SFD_CLOEXEC | SFD_NONBLOCK);
    umask(022);
    write_file("/proc/sys/kernel/hostname", "micro");
    make_machine_id();
    load_modules("/etc/modules.boot");
    start(&children[AGENT]);

    int links = open_link_events();
    raise_interface("lo");
    // Nobody else is on the link: addresses are used without asking around, and the router is asked for at once.
    write_file("/proc/sys/net/ipv6/conf/" LINK "/accept_dad", "0");
    write_file("/proc/sys/net/ipv6/conf/" LINK "/router_solicitation_delay", "0");
    raise_interface(LINK);
    bool carrier = carrier_is_up();
    long carriers = carrier_count();
    if (carrier) carrier_changed(true);
    // What the file server hands out for measurements: holes, so that they cost no memory until read.
    if (truncate("/srv/20MiB", 20 << 20) < 0 || truncate("/srv/1MiB", 1 << 20) < 0) say("init: /srv: %s", strerror(errno));
    start(&children[SHELL]);
    start(&children[HTTP]);
    load_modules("/etc/modules.late");
    int button = open_power_button();

    for (;;) {
        int timeout = -1;
        long long now = now_ms();
        for (int i = 0; i < CHILD_COUNT; i++) {
            struct child *child = &children[i];
            if (!child->wanted || child->pid > 0 || !child->restart_at) continue;
            if (child->restart_at <= now) start(child);
            else if (timeout < 0 || child->restart_at - now < timeout) timeout = (int)(child->restart_at - now);
        }
        struct pollfd sources[] = {{signals, POLLIN, 0}, {links, POLLIN, 0}, {button, POLLIN, 0}};
        poll(sources, 3, timeout);
        if (sources[0].revents) {
            struct signalfd_siginfo signal;
            while (read(signals, &signal, sizeof signal) == sizeof signal) {
                switch (signal.ssi_signo) {
                case SIGCHLD: reap(); break;
                case SIGUSR1: leave(RB_HALT_SYSTEM); break;
                case SIGUSR2: leave(RB_POWER_OFF); break;
                default: leave(RB_AUTOBOOT); break;
                }
            }
        }
        if (sources[1].revents) {
            char buffer[8192];
            while (recv(links, buffer, sizeof buffer, 0) > 0) {}
            bool up = carrier_is_up();
            long count = carrier_count();
            if (up != carrier || count != carriers) carrier_changed(carrier = up);
            carriers = count;
        }
        if (sources[2].revents && button_was_pressed(button)) leave(RB_POWER_OFF);
    }
}
