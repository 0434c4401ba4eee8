// The agent's loop: requests come in by a virtio-serial port, answers go back in order.
#include "agent.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define PORT_NAME "org.qemu.guest_agent.0"

long long monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

struct reply reply_value(json_object *value) {
    return (struct reply){.value = value ? value : json_object_new_object()};
}

struct reply reply_error(const char *format, ...) {
    struct reply reply = {0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply.error, sizeof reply.error, format, arguments);
    va_end(arguments);
    return reply;
}

struct reply reply_errno(const char *what) { return reply_error("%s: %s", what, strerror(errno)); }

const char *string_argument(json_object *arguments, const char *name) {
    json_object *value;
    if (!json_object_object_get_ex(arguments, name, &value) || !json_object_is_type(value, json_type_string)) return NULL;
    const char *text = json_object_get_string(value);
    // A NUL inside would make C and JSON disagree about what the text is.
    return strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

bool integer_argument(json_object *arguments, const char *name, int64_t *result) {
    json_object *value;
    if (!json_object_object_get_ex(arguments, name, &value) || !json_object_is_type(value, json_type_int)) return false;
    *result = json_object_get_int64(value);
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

json_object *base64_encode(const uint8_t *octets, size_t count) {
    char *text = malloc((count + 2) / 3 * 4 + 1), *next = text;
    if (!text) return json_object_new_string("");
    for (size_t i = 0; i < count; i += 3) {
        uint32_t group = (uint32_t)octets[i] << 16;
        if (i + 1 < count) group |= (uint32_t)octets[i + 1] << 8;
        if (i + 2 < count) group |= octets[i + 2];
        *next++ = alphabet[group >> 18];
        *next++ = alphabet[group >> 12 & 63];
        *next++ = i + 1 < count ? alphabet[group >> 6 & 63] : '=';
        *next++ = i + 2 < count ? alphabet[group & 63] : '=';
    }
    json_object *value = json_object_new_string_len(text, (int)(next - text));
    free(text);
    return value;
}

uint8_t *base64_decode(const char *text, size_t *count) {
    size_t length = strlen(text);
    if (length % 4) return NULL;
    uint8_t *octets = malloc(length / 4 * 3 + 1);
    if (!octets) return NULL;
    size_t written = 0;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;
        int padding = 0;
        for (size_t j = 0; j < 4; j++) {
            const char *found = text[i + j] ? strchr(alphabet, text[i + j]) : NULL;
            if (text[i + j] == '=' && i + 4 == length && j >= 2) padding++;
            else if (!found || padding) { free(octets); return NULL; }
            group = group << 6 | (found && !padding ? (uint32_t)(found - alphabet) : 0);
        }
        for (int j = 0; j < 3 - padding; j++) octets[written++] = (uint8_t)(group >> (16 - 8 * j));
    }
    *count = written;
    return octets;
}

static struct reply guest_ping(json_object *arguments) { (void)arguments; return reply_value(NULL); }

static struct reply guest_sync(json_object *arguments) {
    int64_t id;
    if (!integer_argument(arguments, "id", &id)) return reply_error("id is missing");
    return reply_value(json_object_new_int64(id));
}

static struct reply guest_sync_delimited(json_object *arguments) {
    struct reply reply = guest_sync(arguments);
    reply.sync = true;
    return reply;
}

static struct reply guest_info(json_object *arguments) {
    (void)arguments;
    json_object *result = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < command_count; i++) {
        json_object *entry = json_object_new_object();
        json_object_object_add(entry, "name", json_object_new_string(commands[i].name));
        json_object_object_add(entry, "enabled", json_object_new_boolean(true));
        json_object_object_add(entry, "success-response", json_object_new_boolean(commands[i].function != guest_shutdown));
        json_object_array_add(list, entry);
    }
    json_object_object_add(result, "version", json_object_new_string(AGENT_VERSION));
    json_object_object_add(result, "supported_commands", list);
    return reply_value(result);
}

const struct command commands[] = {
    {"guest-sync-delimited", guest_sync_delimited},
    {"guest-sync", guest_sync},
    {"guest-ping", guest_ping},
    {"guest-info", guest_info},
    {"guest-exec", guest_exec},
    {"guest-exec-status", guest_exec_status},
    {"guest-file-open", guest_file_open},
    {"guest-file-close", guest_file_close},
    {"guest-file-read", guest_file_read},
    {"guest-file-write", guest_file_write},
    {"guest-file-seek", guest_file_seek},
    {"guest-file-flush", guest_file_flush},
    {"guest-set-time", guest_set_time},
    {"guest-get-time", guest_get_time},
    {"guest-shutdown", guest_shutdown},
    {"guest-get-host-name", guest_get_host_name},
    {"guest-get-osinfo", guest_get_osinfo},
    {"guest-network-get-interfaces", guest_network_get_interfaces},
    {"warren-reidentify", warren_reidentify},
};
const size_t command_count = sizeof commands / sizeof *commands;

static struct reply dispatch(json_object *request) {
    json_object *arguments = NULL;
    const char *name = json_object_is_type(request, json_type_object) ? string_argument(request, "execute") : NULL;
    if (!name) return reply_error("not a request");
    if (json_object_object_get_ex(request, "arguments", &arguments) && !json_object_is_type(arguments, json_type_object))
        return reply_error("arguments is not an object");
    for (size_t i = 0; i < command_count; i++)
        if (!strcmp(commands[i].name, name)) return commands[i].function(arguments);
    return reply_error("The command %.100s has not been found", name);
}

// What waits to be written to the port.
static char *output;
static size_t output_start, output_end, output_capacity;

static void queue(const void *octets, size_t count) {
    if (output_start == output_end) output_start = output_end = 0;
    if (output_end + count > output_capacity) {
        size_t capacity = (output_end + count) * 2;
        char *grown = realloc(output, capacity);
        if (!grown) return;
        output = grown;
        output_capacity = capacity;
    }
    memcpy(output + output_end, octets, count);
    output_end += count;
}

static void answer(json_object *request) {
    struct reply reply = dispatch(request);
    if (reply.silent) return;
    json_object *message = json_object_new_object(), *id = NULL;
    if (reply.value) {
        json_object_object_add(message, "return", reply.value);
    } else {
        json_object *error = json_object_new_object();
        json_object_object_add(error, "class", json_object_new_string("GenericError"));
        json_object_object_add(error, "desc", json_object_new_string(reply.error));
        json_object_object_add(message, "error", error);
    }
    if (json_object_is_type(request, json_type_object) && json_object_object_get_ex(request, "id", &id))
        json_object_object_add(message, "id", json_object_get(id));
    size_t length;
    const char *text = json_object_to_json_string_length(message, JSON_C_TO_STRING_PLAIN, &length);
    if (reply.sync) queue("\xff", 1);
    queue(text, length);
    queue("\n", 1);
    json_object_put(message);
}

static json_tokener *tokener;
static size_t request_size;

static void reset_input(void) {
    json_tokener_reset(tokener);
    request_size = 0;
}

// Takes what arrived. 0xFF, and everything that is not JSON, starts over: the host says guest-sync to find its place.
static void take(const char *octets, size_t count) {
    while (count > 0) {
        if ((unsigned char)*octets == 0xff || (request_size == 0 && strchr(" \t\r\n", *octets) && *octets)) {
            reset_input();
            octets++, count--;
            continue;
        }
        const char *mark = memchr(octets, 0xff, count);
        size_t length = mark ? (size_t)(mark - octets) : count;
        json_object *request = json_tokener_parse_ex(tokener, octets, (int)length);
        enum json_tokener_error state = json_tokener_get_error(tokener);
        size_t used = state == json_tokener_continue ? length : json_tokener_get_parse_end(tokener);
        request_size += used;
        if (state == json_tokener_success) {
            answer(request);
            json_object_put(request);
            reset_input();
        } else if (state != json_tokener_continue || request_size > MAX_REQUEST) {
            const char *line = memchr(octets, '\n', length);
            used = line ? (size_t)(line - octets) + 1 : length;
            reset_input();
            answer(NULL);
        }
        if (used == 0) used = 1;
        octets += used, count -= used;
    }
}

// The port appears some time after its driver: waits for it in /dev, by name.
static int open_port(void) {
    int watch = inotify_init1(IN_CLOEXEC);
    inotify_add_watch(watch, "/dev", IN_CREATE | IN_ATTRIB);
    for (;;) {
        DIR *ports = opendir("/sys/class/virtio-ports");
        for (struct dirent *entry; ports && (entry = readdir(ports));) {
            char path[400], name[64] = "";
            snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
            int file = open(path, O_RDONLY | O_CLOEXEC);
            if (file < 0) continue;
            if (read(file, name, sizeof name - 1) < 0) name[0] = 0;
            close(file);
            name[strcspn(name, "\n")] = 0;
            if (strcmp(name, PORT_NAME)) continue;
            snprintf(path, sizeof path, "/dev/%s", entry->d_name);
            int port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
            if (port < 0) continue;
            closedir(ports);
            close(watch);
            return port;
        }
        if (ports) closedir(ports);
        // The name in sysfs may come a moment after the node in /dev: half a second bounds that race.
        char events[4096];
        struct pollfd wait = {watch, POLLIN, 0};
        if (poll(&wait, 1, 500) > 0 && read(watch, events, sizeof events) < 0) return -1;
    }
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int port = open_port();
    tokener = json_tokener_new_ex(32);
    if (port < 0 || signals < 0 || !tokener) return 1;
    // The port signals when the host comes and goes; while it is away, poll() would report a hang-up without end.
    fcntl(port, F_SETOWN, getpid());
    fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_ASYNC);
    bool host_present = true;

    static char input[65536];
    for (;;) {
        struct pollfd sources[2 + 3 * MAX_JOBS] = {
            {signals, POLLIN, 0},
            {host_present ? port : -1, (short)(POLLIN | (output_start < output_end ? POLLOUT : 0)), 0},
        };
        size_t jobs = exec_poll_entries(sources + 2, 3 * MAX_JOBS);
        if (poll(sources, 2 + jobs, exec_timeout()) < 0 && errno != EINTR) return 1;
        if (sources[0].revents) {
            struct signalfd_siginfo signal;
            while (read(signals, &signal, sizeof signal) == sizeof signal)
                if (signal.ssi_signo == SIGIO) host_present = true;
            exec_reap();
        }
        exec_handle(sources + 2, jobs);
        if (sources[1].revents & POLLHUP) {
            host_present = false;
            output_start = output_end = 0;
            reset_input();
            continue;
        }
        if (sources[1].revents & POLLOUT) {
            ssize_t count = write(port, output + output_start, output_end - output_start);
            if (count > 0) output_start += (size_t)count;
        }
        // Requests wait while answers do: a host that does not read cannot fill our memory.
        if (sources[1].revents & POLLIN && output_end - output_start < OUTPUT_LIMIT) {
            ssize_t count = read(port, input, sizeof input);
            if (count > 0) take(input, (size_t)count);
        }
    }
}
