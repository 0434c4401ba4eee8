// guest-exec: processes with bounded output, an optional time limit, and their own process group.
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINGER_MS 200 // how long a descendant may keep the outputs open after the process itself ended

struct stream {
    int descriptor; // -1 = closed
    uint8_t *octets;
    size_t count, capacity;
    bool truncated;
};

struct job {
    pid_t pid; // 0 = free
    bool exited, capture, timed_out;
    int status;
    long long ended_at, deadline; // deadline 0 = none
    int input;
    uint8_t *input_octets;
    size_t input_count, input_sent;
    struct stream out, err;
};

static struct job jobs[MAX_JOBS];

static void close_descriptor(int *descriptor) {
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
}

static void release(struct job *job) {
    close_descriptor(&job->input);
    close_descriptor(&job->out.descriptor);
    close_descriptor(&job->err.descriptor);
    free(job->input_octets);
    free(job->out.octets);
    free(job->err.octets);
    *job = (struct job){.input = -1, .out.descriptor = -1, .err.descriptor = -1};
}

static bool finished(struct job *job) {
    if (!job->exited) return false;
    if (job->out.descriptor < 0 && job->err.descriptor < 0) return true;
    return monotonic_ms() - job->ended_at >= LINGER_MS;
}

static struct job *free_job(void) {
    struct job *oldest = NULL;
    for (int i = 0; i < MAX_JOBS; i++) {
        if (!jobs[i].pid) return &jobs[i];
        // A result nobody asked for in a minute belongs to a host that went away.
        if (finished(&jobs[i]) && monotonic_ms() - jobs[i].ended_at > 60000 &&
            (!oldest || jobs[i].ended_at < oldest->ended_at))
            oldest = &jobs[i];
    }
    if (oldest) release(oldest);
    return oldest;
}

// A null-terminated vector of the strings in `list`, after `first` when that is given; null when one is not a string.
static char **string_vector(json_object *list, const char *first) {
    size_t count = list ? json_object_array_length(list) : 0, next = 0;
    char **vector = calloc(count + 2, sizeof *vector);
    if (!vector) return NULL;
    if (first) vector[next++] = (char *)first;
    for (size_t i = 0; i < count; i++) {
        json_object *value = json_object_array_get_idx(list, i);
        if (!json_object_is_type(value, json_type_string)) {
            free(vector);
            return NULL;
        }
        vector[next++] = (char *)json_object_get_string(value);
    }
    return vector;
}

static json_object *array_argument(json_object *arguments, const char *name) {
    json_object *value;
    if (!json_object_object_get_ex(arguments, name, &value) || !json_object_is_type(value, json_type_array)) return NULL;
    return value;
}

static void run(char **argv, char **environment, const char *directory, int64_t uid, int64_t gid, int failure) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    int problem = 0;
    if (gid >= 0 && (setgroups(0, NULL) < 0 || setgid((gid_t)gid) < 0)) problem = errno;
    if (!problem && uid >= 0 && setuid((uid_t)uid) < 0) problem = errno;
    if (!problem && chdir(directory ? directory : "/") < 0) problem = errno;
    if (!problem) {
        execvpe(argv[0], argv, environment);
        problem = errno;
    }
    if (write(failure, &problem, sizeof problem) < 0) _exit(126);
    _exit(127);
}

struct reply guest_exec(json_object *arguments) {
    const char *path = string_argument(arguments, "path"), *input = string_argument(arguments, "input-data");
    const char *directory = string_argument(arguments, "warren-cwd");
    if (!path) return reply_error("path is missing");
    int64_t uid = -1, gid = -1, timeout = 0;
    integer_argument(arguments, "warren-uid", &uid);
    integer_argument(arguments, "warren-gid", &gid);
    integer_argument(arguments, "warren-timeout-ms", &timeout);
    json_object *flag, *variables = array_argument(arguments, "env");
    bool capture = json_object_object_get_ex(arguments, "capture-output", &flag) && json_object_get_boolean(flag);

    struct job *job = free_job();
    if (!job) return reply_error("too many processes at once");
    static char *const usual[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                                  "TERM=dumb", NULL};
    char **argv = string_vector(array_argument(arguments, "arg"), path);
    char **environment = variables ? string_vector(variables, NULL) : (char **)usual;
    // {read, write} ends: of the process's input, output and error output, and of the report that exec failed.
    int pipes[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    struct reply reply = {0};
    size_t input_count = 0;
    uint8_t *input_octets = input ? base64_decode(input, &input_count) : NULL;
    if (!argv || !environment) reply = reply_error("arg or env holds something that is not a string");
    else if (input && !input_octets) reply = reply_error("input-data is not base64");
    for (int i = 0; i < 4 && !reply.error[0]; i++)
        if (pipe2(pipes[i], O_CLOEXEC) < 0) reply = reply_errno("pipe");

    pid_t pid = reply.error[0] ? -1 : fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(input ? pipes[0][0] : null, 0);
        dup2(capture ? pipes[1][1] : null, 1);
        dup2(capture ? pipes[2][1] : null, 2);
        run(argv, environment, directory, uid, gid, pipes[3][1]);
    }
    if (pid < 0 && !reply.error[0]) reply = reply_errno("fork");
    close_descriptor(&pipes[0][0]);
    close_descriptor(&pipes[1][1]);
    close_descriptor(&pipes[2][1]);
    close_descriptor(&pipes[3][1]);
    int problem = 0;
    if (pid > 0 && read(pipes[3][0], &problem, sizeof problem) == sizeof problem) {
        waitpid(pid, NULL, 0);
        reply = reply_error("Failed to execute child process \"%.100s\" (%s)", path, strerror(problem));
    }
    close_descriptor(&pipes[3][0]);
    if (argv) free(argv);
    if (variables) free(environment);
    if (reply.error[0]) {
        for (int i = 0; i < 3; i++) {
            close_descriptor(&pipes[i][0]);
            close_descriptor(&pipes[i][1]);
        }
        free(input_octets);
        return reply;
    }

    *job = (struct job){
        .pid = pid, .capture = capture, .input = -1, .input_octets = input_octets, .input_count = input_count,
        .deadline = timeout > 0 ? monotonic_ms() + timeout : 0, .out.descriptor = -1, .err.descriptor = -1,
    };
    if (input) job->input = pipes[0][1]; else close(pipes[0][1]);
    if (capture) {
        job->out.descriptor = pipes[1][0];
        job->err.descriptor = pipes[2][0];
    } else {
        close(pipes[1][0]);
        close(pipes[2][0]);
    }
    int *mine[] = {&job->input, &job->out.descriptor, &job->err.descriptor};
    for (int i = 0; i < 3; i++)
        if (*mine[i] >= 0) fcntl(*mine[i], F_SETFL, O_NONBLOCK);
    if (job->input >= 0 && input_count == 0) close_descriptor(&job->input);

    json_object *result = json_object_new_object();
    json_object_object_add(result, "pid", json_object_new_int64(pid));
    return reply_value(result);
}

struct reply guest_exec_status(json_object *arguments) {
    int64_t pid;
    if (!integer_argument(arguments, "pid", &pid) || pid <= 0) return reply_error("pid is missing");
    for (int i = 0; i < MAX_JOBS; i++) {
        struct job *job = &jobs[i];
        if (job->pid != pid) continue;
        json_object *result = json_object_new_object();
        bool done = finished(job);
        json_object_object_add(result, "exited", json_object_new_boolean(done));
        if (!done) return reply_value(result);
        if (WIFSIGNALED(job->status))
            json_object_object_add(result, "signal", json_object_new_int(WTERMSIG(job->status)));
        else
            json_object_object_add(result, "exitcode", json_object_new_int(WEXITSTATUS(job->status)));
        if (job->timed_out) json_object_object_add(result, "warren-timed-out", json_object_new_boolean(true));
        struct { const char *data, *truncated; struct stream *stream; } streams[] = {
            {"out-data", "out-truncated", &job->out}, {"err-data", "err-truncated", &job->err}};
        for (int s = 0; s < 2; s++) {
            struct stream *stream = streams[s].stream;
            if (stream->count)
                json_object_object_add(result, streams[s].data, base64_encode(stream->octets, stream->count));
            if (stream->truncated)
                json_object_object_add(result, streams[s].truncated, json_object_new_boolean(true));
        }
        release(job);
        return reply_value(result);
    }
    return reply_error("Invalid parameter 'pid'");
}

size_t exec_poll_entries(struct pollfd *entries, size_t capacity) {
    size_t count = 0;
    for (int i = 0; i < MAX_JOBS && count + 3 <= capacity; i++) {
        if (!jobs[i].pid) continue;
        entries[count++] = (struct pollfd){jobs[i].input, POLLOUT, 0};
        entries[count++] = (struct pollfd){jobs[i].out.descriptor, POLLIN, 0};
        entries[count++] = (struct pollfd){jobs[i].err.descriptor, POLLIN, 0};
    }
    return count;
}

static void drain(struct stream *stream) {
    static uint8_t buffer[65536];
    ssize_t count = read(stream->descriptor, buffer, sizeof buffer);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
        close_descriptor(&stream->descriptor);
        return;
    }
    size_t room = OUTPUT_LIMIT - stream->count, kept = (size_t)count < room ? (size_t)count : room;
    if (kept < (size_t)count) stream->truncated = true;
    if (stream->count + kept > stream->capacity) {
        size_t capacity = (stream->count + kept) * 2;
        uint8_t *grown = realloc(stream->octets, capacity);
        if (!grown) {
            stream->truncated = true;
            return;
        }
        stream->octets = grown;
        stream->capacity = capacity;
    }
    memcpy(stream->octets + stream->count, buffer, kept);
    stream->count += kept;
}

static void feed(struct job *job) {
    ssize_t count = write(job->input, job->input_octets + job->input_sent, job->input_count - job->input_sent);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count > 0) job->input_sent += (size_t)count;
    if (count <= 0 || job->input_sent == job->input_count) close_descriptor(&job->input);
}

void exec_handle(const struct pollfd *entries, size_t count) {
    for (int i = 0; i < MAX_JOBS; i++) {
        struct job *job = &jobs[i];
        if (!job->pid) continue;
        // Entries are matched by descriptor, because a job may have come or gone since they were made.
        for (size_t e = 0; e < count; e++) {
            if (!entries[e].revents || entries[e].fd < 0) continue;
            if (entries[e].fd == job->input) feed(job);
            else if (entries[e].fd == job->out.descriptor) drain(&job->out);
            else if (entries[e].fd == job->err.descriptor) drain(&job->err);
        }
        if (job->deadline && !job->exited && monotonic_ms() >= job->deadline) {
            job->timed_out = true;
            job->deadline = 0;
            kill(-job->pid, SIGKILL);
        }
    }
}

void exec_reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < MAX_JOBS; i++) {
            if (jobs[i].pid != pid || jobs[i].exited) continue;
            jobs[i].exited = true;
            jobs[i].status = status;
            jobs[i].ended_at = monotonic_ms();
            close_descriptor(&jobs[i].input);
        }
    }
}

int exec_timeout(void) {
    long long nearest = -1, now = monotonic_ms();
    for (int i = 0; i < MAX_JOBS; i++) {
        if (!jobs[i].pid || !jobs[i].deadline || jobs[i].exited) continue;
        long long left = jobs[i].deadline > now ? jobs[i].deadline - now : 0;
        if (nearest < 0 || left < nearest) nearest = left;
    }
    return nearest > INT_MAX ? INT_MAX : (int)nearest;
}
