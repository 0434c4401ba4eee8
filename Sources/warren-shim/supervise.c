// The shim's loop: QEMU's monitor and last words, the control socket, the console log, and the end.
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLIENTS 8
#define CONSOLE_PAUSE_MS 100 // between two looks at a log that grows

static const char capabilities[] = "{\"execute\":\"qmp_capabilities\"}\n";

void discard_octets(int descriptor) {
    char buffer[4096];
    while (read(descriptor, buffer, sizeof buffer) > 0) {}
}

// Keeps the last octets of what QEMU wrote to its error output. Returns false at its end.
static bool hear(struct run *run, int words) {
    char buffer[STDERR_KEPT];
    ssize_t count = read(words, buffer, sizeof buffer);
    if (count <= 0) return count < 0 && (errno == EAGAIN || errno == EINTR);
    size_t fresh = (size_t)count, kept = run->words_count;
    if (kept + fresh > STDERR_KEPT) {
        size_t gone = kept + fresh - STDERR_KEPT;
        memmove(run->words, run->words + gone, kept - gone);
        kept -= gone;
    }
    memcpy(run->words + kept, buffer, fresh);
    run->words_count = kept + fresh;
    return true;
}

static void note_event(struct run *run, const char *line) {
    if (strstr(line, "\"event\": \"GUEST_PANICKED\"")) run->panicked = true;
    if (!strstr(line, "\"event\": \"SHUTDOWN\"")) return;
    const char *reason = strstr(line, "\"reason\": \"");
    if (!reason) return;
    reason += strlen("\"reason\": \"");
    size_t length = strspn(reason, "abcdefghijklmnopqrstuvwxyz-");
    if (length >= sizeof run->reason) length = sizeof run->reason - 1;
    memcpy(run->reason, reason, length);
    run->reason[length] = 0;
}

// Lines of the monitor; longer ones than the buffer are of no interest. Returns false at its end.
// QEMU greets before it has read the kernel and the rest; it answers when it is complete.
static bool listen_to_monitor(struct run *run, int monitor, bool *answered) {
    static char buffer[8192];
    static size_t count;
    ssize_t got = read(monitor, buffer + count, sizeof buffer - 1 - count);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    count += (size_t)got;
    buffer[count] = 0;
    char *line = buffer, *end;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        if (strstr(line, "\"QMP\"") && write(monitor, capabilities, sizeof capabilities - 1) < 0) return false;
        if (strstr(line, "\"return\"")) *answered = true;
        note_event(run, line);
        line = end + 1;
    }
    count -= (size_t)(line - buffer);
    memmove(buffer, line, count);
    if (count == sizeof buffer - 1) count = 0;
    return true;
}

static void say(int descriptor, const char *text, size_t count) {
    // A client that does not read misses it; exit.json has it as well.
    if (send(descriptor, text, count, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) errno = 0;
}

static void obey(struct run *run, const char *text, ssize_t count) {
    for (ssize_t i = 0; i < count; i++) {
        const char *word = text + i;
        bool kill_it = count - i >= 5 && !memcmp(word, "kill\n", 5), end_it = count - i >= 10 && !memcmp(word, "terminate\n", 10);
        if (!kill_it && !end_it) continue;
        run->requested = kill_it ? "kill" : "terminate";
        if (run->pid > 0) kill(run->pid, kill_it ? SIGKILL : SIGTERM);
    }
}

static void finish_ready(int *ready, const char *text, size_t count) {
    if (*ready < 0) return;
    if (write(*ready, text, count) < 0) errno = 0;
    close(*ready);
    *ready = -1;
}

int supervise(const struct options *options, int listener, int ready) {
    static struct run run;
    static char text[STDERR_KEPT * 7];
    struct console console;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), monitor[2], words[2];
    char problem[1200];
    if (signals < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor) < 0 || pipe2(words, O_CLOEXEC) < 0 ||
        console_open(&console, "run/console.log", options->console_kib, options->uid, options->gid) < 0) {
        finish_ready(&ready, text, (size_t)snprintf(text, sizeof text, "warren-shim: console.log: %s\n", strerror(errno)));
        return 70;
    }
    run.started_ms = realtime_ms();
    run.pid = start_qemu(options, monitor[1], words[1], &run.level, problem, sizeof problem);
    if (run.pid < 0) {
        finish_ready(&ready, text, (size_t)snprintf(text, sizeof text, "warren-shim: QEMU does not start confined: %s\n", problem));
        unlink("shim.sock");
        return 70;
    }
    close(monitor[1]);
    close(words[1]);
    int watched_monitor = monitor[0], watched_words = words[0], clients[MAX_CLIENTS];
    fcntl(watched_monitor, F_SETFL, O_NONBLOCK);
    fcntl(watched_words, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < MAX_CLIENTS; i++) clients[i] = -1;
    bool answered = false, over = false;
    int64_t next_look = 0;

    while (!over) {
        enum { SIGNALS, LISTENER, MONITOR, WORDS, CONSOLE, CLIENTS };
        int64_t pause = next_look - monotonic_ms();
        struct pollfd sources[CLIENTS + MAX_CLIENTS] = {
            [SIGNALS] = {signals, POLLIN, 0},
            [LISTENER] = {listener, POLLIN, 0},
            [MONITOR] = {watched_monitor, POLLIN, 0},
            [WORDS] = {watched_words, POLLIN, 0},
            [CONSOLE] = {pause > 0 ? -1 : console.watch, POLLIN, 0},
        };
        for (int i = 0; i < MAX_CLIENTS; i++) sources[CLIENTS + i] = (struct pollfd){clients[i], POLLIN, 0};
        if (poll(sources, CLIENTS + MAX_CLIENTS, pause > 0 ? (int)pause : -1) < 0 && errno != EINTR) break;

        if (sources[MONITOR].revents && !listen_to_monitor(&run, watched_monitor, &answered)) watched_monitor = -1;
        if (sources[WORDS].revents && !hear(&run, watched_words)) watched_words = -1;
        if (answered) finish_ready(&ready, text, format_status(&run, text, sizeof text));
        if (sources[CONSOLE].revents) {
            discard_octets(console.watch);
            console_bound(&console);
            next_look = monotonic_ms() + CONSOLE_PAUSE_MS;
        }
        if (sources[LISTENER].revents) {
            int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), place = 0;
            while (place < MAX_CLIENTS && clients[place] >= 0) place++;
            if (client >= 0 && place < MAX_CLIENTS) {
                clients[place] = client;
                say(client, text, format_status(&run, text, sizeof text));
            } else if (client >= 0) {
                close(client);
            }
        }
        for (int i = 0; i < MAX_CLIENTS; i++) {
            if (!sources[CLIENTS + i].revents || sources[CLIENTS + i].fd != clients[i] || clients[i] < 0) continue;
            char order[256];
            ssize_t count = read(clients[i], order, sizeof order);
            if (count > 0) obey(&run, order, count);
            else if (count == 0 || errno != EAGAIN) {
                close(clients[i]);
                clients[i] = -1;
            }
        }
        if (sources[SIGNALS].revents) {
            struct signalfd_siginfo signal;
            while (read(signals, &signal, sizeof signal) == sizeof signal) {
                if (signal.ssi_signo == SIGCHLD) {
                    int status;
                    if (wait4(run.pid, &status, WNOHANG, &run.usage) != run.pid) continue;
                    run.status = status;
                    run.ended_ms = realtime_ms();
                    over = true;
                } else {
                    run.requested = "terminate";
                    kill(run.pid, SIGTERM);
                }
            }
        }
    }

    // What QEMU said in its last moment is still in the pipes.
    while (watched_words >= 0 && run.words_count <= STDERR_KEPT) {
        ssize_t before = (ssize_t)run.words_count;
        struct pollfd left = {watched_words, POLLIN, 0};
        if (poll(&left, 1, 0) <= 0 || !(left.revents & POLLIN) || !hear(&run, watched_words)) break;
        if (before == (ssize_t)run.words_count && before < STDERR_KEPT) break;
    }
    for (struct pollfd left = {watched_monitor, POLLIN, 0};
         watched_monitor >= 0 && poll(&left, 1, 0) > 0 && left.revents & POLLIN;)
        if (!listen_to_monitor(&run, watched_monitor, &answered)) break;
    console_bound(&console);
    size_t count = format_exit(&run, text, sizeof text);
    write_exit_report(text, count);
    unlink("shim.sock");
    for (int i = 0; i < MAX_CLIENTS; i++)
        if (clients[i] >= 0) say(clients[i], text, count);
    if (ready >= 0) {
        // It never came up: its own words are the best reason there is.
        char reason[STDERR_KEPT + 100];
        int length = snprintf(reason, sizeof reason, "warren-shim: QEMU ended before it answered (%s %d): %.*s\n",
                              WIFSIGNALED(run.status) ? "signal" : "exit code",
                              WIFSIGNALED(run.status) ? WTERMSIG(run.status) : WEXITSTATUS(run.status),
                              (int)run.words_count, run.words);
        finish_ready(&ready, reason, (size_t)length);
    }
    return 0;
}
