// A DHCPv6 client for one address (RFC 8415): dhcp6 INTERFACE SCRIPT
//
// Debian's busybox has none. The router and its lifetime come from router advertisements, which the kernel heeds by
// itself. SCRIPT is called with `deconfig6` or `bound6`, and with the answer in its environment.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SOLICIT = 1, ADVERTISE = 2, REQUEST = 3, RENEW = 5, REBIND = 6, REPLY = 7 };
enum { CLIENT_ID = 1, SERVER_ID = 2, IA_NA = 3, IA_ADDRESS = 5, ORO = 6, ELAPSED = 8, RAPID = 14, DNS = 23, SEARCH = 24, FQDN = 39 };

// What a server gave.
struct lease {
    uint8_t server[130];
    size_t server_size;
    struct in6_addr address;
    uint32_t renew_after, rebind_after, valid;
    char servers[256], search[512], name[256];
};

static const char *interface, *script;
static uint8_t client_id[10] = {0, 3, 0, 1}; // DUID-LL of Ethernet

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static uint32_t read32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint8_t *put_option(uint8_t *at, unsigned code, const void *value, size_t size) {
    const uint8_t head[] = {code >> 8, code & 255, size >> 8, size & 255};
    memcpy(at, head, sizeof head);
    if (size) memcpy(at + sizeof head, value, size);
    return at + sizeof head + size;
}

// Writes a message; the buffer has room for all of them.
static size_t make_message(uint8_t *buffer, int type, uint32_t transaction, long long elapsed_ms, const struct lease *lease) {
    static const uint8_t wanted[] = {0, DNS, 0, SEARCH, 0, FQDN};
    static const uint8_t no_name[] = {0};
    long long hundredths = elapsed_ms / 10 > 65535 ? 65535 : elapsed_ms / 10;
    const uint8_t elapsed[] = {hundredths >> 8, hundredths & 255};
    const uint8_t head[] = {type, transaction >> 16, transaction >> 8, transaction};
    memcpy(buffer, head, sizeof head);
    uint8_t *at = put_option(buffer + sizeof head, CLIENT_ID, client_id, sizeof client_id);
    if (type == REQUEST || type == RENEW) at = put_option(at, SERVER_ID, lease->server, lease->server_size);
    uint8_t association[12 + 28] = {0, 0, 0, 1};
    size_t size = 12;
    if (type != SOLICIT) {
        uint8_t address[24] = {0};
        memcpy(address, &lease->address, 16);
        put_option(association + 12, IA_ADDRESS, address, sizeof address);
        size += 28;
    }
    at = put_option(at, IA_NA, association, size);
    at = put_option(at, ORO, wanted, sizeof wanted);
    at = put_option(at, FQDN, no_name, sizeof no_name);
    at = put_option(at, ELAPSED, elapsed, sizeof elapsed);
    if (type == SOLICIT) at = put_option(at, RAPID, NULL, 0);
    return (size_t)(at - buffer);
}

// The next option; NULL behind the last one, and when it says more than there is.
static const uint8_t *next_option(const uint8_t **at, const uint8_t *end, unsigned *code, size_t *size) {
    if (end - *at < 4) return NULL;
    const uint8_t *value = *at + 4;
    *code = (unsigned)((*at)[0] << 8 | (*at)[1]);
    *size = (size_t)((*at)[2] << 8 | (*at)[3]);
    if ((size_t)(end - value) < *size) return NULL;
    *at = value + *size;
    return value;
}

// Names as text, separated by blanks. A shell will see them: names with any but the usual letters are left out.
static void read_names(const uint8_t *at, const uint8_t *end, char *text, size_t room) {
    text[0] = 0;
    while (at < end && *at) {
        char name[256] = "";
        size_t length = 0;
        bool plain = true;
        while (at < end && *at) {
            size_t count = *at++;
            if (count > 63 || (size_t)(end - at) < count || length + count + 1 >= sizeof name) return;
            for (size_t i = 0; i < count; i++, at++) {
                bool known = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');
                if (!known && *at != '-' && *at != '_') plain = false;
                name[length++] = (char)*at;
            }
            name[length++] = '.';
        }
        at++;
        if (!plain || name[0] == '-' || strlen(text) + length + 1 >= room) continue;
        name[length - 1] = 0;
        if (text[0]) strcat(text, " ");
        strcat(text, name);
    }
}

static bool read_association(const uint8_t *at, const uint8_t *end, struct lease *lease) {
    if (end - at < 12) return false;
    lease->renew_after = read32(at + 4);
    lease->rebind_after = read32(at + 8);
    at += 12;
    unsigned code;
    size_t size;
    for (const uint8_t *value; (value = next_option(&at, end, &code, &size));) {
        if (code != IA_ADDRESS || size < 24 || read32(value + 20) == 0) continue;
        memcpy(&lease->address, value, 16);
        lease->valid = read32(value + 20);
        return true;
    }
    return false;
}

// Reads an answer with an address to a message of this transaction.
static bool read_answer(const uint8_t *message, size_t count, int type, uint32_t transaction, struct lease *lease) {
    if (count < 4 || message[0] != type || (read32(message) & 0xFFFFFF) != transaction) return false;
    memset(lease, 0, sizeof *lease);
    bool ours = false, given = false;
    const uint8_t *at = message + 4, *end = message + count, *value;
    unsigned code;
    size_t size;
    while ((value = next_option(&at, end, &code, &size))) {
        switch (code) {
        case CLIENT_ID: ours = size == sizeof client_id && !memcmp(value, client_id, size); break;
        case SERVER_ID:
            if (size > sizeof lease->server) return false;
            memcpy(lease->server, value, lease->server_size = size);
            break;
        case IA_NA: given = given || read_association(value, value + size, lease); break;
        case DNS:
            for (size_t i = 0; i + 16 <= size; i += 16) {
                char text[INET6_ADDRSTRLEN + 1] = " ";
                inet_ntop(AF_INET6, value + i, text + 1, sizeof text - 1);
                if (strlen(lease->servers) + strlen(text) < sizeof lease->servers) strcat(lease->servers, text);
            }
            break;
        case SEARCH: read_names(value, value + size, lease->search, sizeof lease->search); break;
        case FQDN:
            if (size > 1) read_names(value + 1, value + size, lease->name, sizeof lease->name);
            break;
        }
    }
    return ours && given && lease->server_size > 0;
}

// Sends a message until an answer comes or `deadline` passes; true when the lease holds what it says.
static bool exchange(int client, int type, int expected, struct lease *lease, long long deadline) {
    uint8_t buffer[1500];
    uint32_t transaction;
    // Any number will do; early at boot there may be no better one.
    if (getrandom(&transaction, sizeof transaction, GRND_INSECURE) != sizeof transaction) return false;
    transaction &= 0xFFFFFF;
    const struct sockaddr_in6 servers = {
        .sin6_family = AF_INET6, .sin6_port = htons(547), .sin6_scope_id = if_nametoindex(interface),
        .sin6_addr = {.s6_addr = {0xFF, 2, [13] = 1, [15] = 2}},
    };
    long long began = now_ms();
    for (int pause = 1000;;) {
        size_t count = make_message(buffer, type, transaction, now_ms() - began, lease);
        bool sent = sendto(client, buffer, count, 0, (const struct sockaddr *)&servers, sizeof servers) >= 0;
        // The interface has no address of its own yet: soon.
        long long again = now_ms() + (sent ? pause : 50);
        if (sent && pause < 120000) pause *= 2;
        for (long long left; (left = again - now_ms()) > 0;) {
            struct pollfd source = {client, POLLIN, 0};
            if (poll(&source, 1, (int)left) <= 0) continue;
            ssize_t received = recv(client, buffer, sizeof buffer, 0);
            struct lease answer;
            if (received < 0) continue;
            if (read_answer(buffer, (size_t)received, REPLY, transaction, &answer) ||
                (expected != REPLY && read_answer(buffer, (size_t)received, expected, transaction, &answer))) {
                bool done = buffer[0] == REPLY;
                *lease = answer;
                if (done || expected == REPLY) return true;
                return exchange(client, REQUEST, REPLY, lease, now_ms() + 30000);
            }
        }
        if (deadline && now_ms() >= deadline) return false;
    }
}

static void call_script(const char *event, const struct lease *lease) {
    pid_t pid = fork();
    if (pid == 0) {
        setenv("interface", interface, 1);
        if (lease) {
            char address[INET6_ADDRSTRLEN];
            setenv("ip6", inet_ntop(AF_INET6, &lease->address, address, sizeof address), 1);
            setenv("dns6", lease->servers, 1);
            setenv("search6", lease->search, 1);
            setenv("hostname", lease->name, 1);
        }
        execl(script, script, event, NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
}

static int open_client(void) {
    int client = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
    if (client < 0 || ioctl(client, SIOCGIFHWADDR, &request) < 0) return -1;
    memcpy(client_id + 4, request.ifr_hwaddr.sa_data, 6);
    const struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(546)};
    if (setsockopt(client, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface) + 1) < 0) return -1;
    return bind(client, (const struct sockaddr *)&own, sizeof own) < 0 ? -1 : client;
}

static void sleep_until(long long time) {
    for (long long left; (left = time - now_ms()) > 0;) poll(NULL, 0, left > 60000 ? 60000 : (int)left);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    interface = arguments[1];
    script = arguments[2];
    int client = open_client();
    if (client < 0) {
        perror("dhcp6");
        return 1;
    }
    for (;;) {
        struct lease lease = {0};
        call_script("deconfig6", NULL);
        if (!exchange(client, SOLICIT, ADVERTISE, &lease, 0)) continue;
        for (bool holds = true; holds;) {
            call_script("bound6", &lease);
            long long granted = now_ms();
            struct in6_addr address = lease.address;
            long long expiry = granted + lease.valid * 1000LL;
            // Without times of the server's, those that the RFC advises (§21.4).
            sleep_until(granted + (lease.renew_after ? lease.renew_after : lease.valid / 2) * 1000LL);
            uint32_t rebind_after = lease.rebind_after ? lease.rebind_after : lease.valid - lease.valid / 5;
            holds = exchange(client, RENEW, REPLY, &lease, granted + rebind_after * 1000LL) ||
                    exchange(client, REBIND, REPLY, &lease, expiry);
            if (memcmp(&address, &lease.address, sizeof address)) call_script("deconfig6", NULL);
        }
    }
}
