#!/usr/bin/env bash
# Shows the whole product on real parts: every request below is one that you could type.
set -euo pipefail
cd "$(dirname "$0")/../.."

bold=$'\e[1m'; dim=$'\e[2m'; green=$'\e[32m'; red=$'\e[31m'; plain=$'\e[0m'; pretty=-C
[ -t 1 ] || { bold=""; dim=""; green=""; red=""; plain=""; pretty=-M; }
here=$PWD
release=$here/.build/release
work=""
daemon_pid=""
receiver_pid=""
started=$SECONDS

step() { printf '\n%s── %s%s\n' "$bold" "$1" "$plain"; }
say() { printf '%s%s%s\n' "$green" "$1" "$plain"; }
fail() {
    printf '\n%sThe demo stopped: %s%s\n' "$red" "$1" "$plain" >&2
    if [ -n "$work" ] && [ -e "$work/warrend.log" ]; then
        printf '%sThe last lines of %s:%s\n' "$dim" "$work/warrend.log" "$plain" >&2
        tail -n 40 "$work/warrend.log" >&2
        for log in "$work"/state/vms/*/console.log; do
            [ -e "$log" ] && { printf '%s%s:%s\n' "$dim" "$log" "$plain" >&2; tail -n 8 "$log" >&2; }
        done
    fi
    exit 1
}
clean_up() {
    status=$?
    if [ -n "$daemon_pid" ] && kill -0 "$daemon_pid" 2>/dev/null; then
        for id in $(api_quiet GET /v1/vms | jq -r '.items[]?.id' 2>/dev/null); do
            api_quiet DELETE "/v1/vms/$id?force=true" >/dev/null 2>&1 || true
        done
        for _ in $(seq 100); do
            left=$(find "$work/state/vms" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)
            [ "$left" -eq 0 ] && break
            sleep 0.1
        done
        kill "$daemon_pid" 2>/dev/null && wait "$daemon_pid" 2>/dev/null || true
    fi
    [ -n "$receiver_pid" ] && kill "$receiver_pid" 2>/dev/null && wait "$receiver_pid" 2>/dev/null || true
    if [ "$status" -eq 0 ] && [ -n "$work" ]; then rm -rf "$work"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

api_quiet() { # method path [body]
    curl -sS --max-time 60 -X "$1" "$url$2" -H "Authorization: Bearer $token" \
        ${3:+-H "Content-Type: application/json" -d "$3"}
}
# Prints the request as it can be typed, sends it, prints the answer through the jq filter and leaves it in $answer.
api() { # method path filter [body]
    local shown="curl -X $1 $url$2 -H \"Authorization: Bearer \$TOKEN\""
    [ -n "${4:-}" ] && shown+=" \\
    -H 'Content-Type: application/json' -d '$4'"
    printf '%s$ %s%s\n' "$dim" "$shown" "$plain"
    answer=$(api_quiet "$1" "$2" "${4:-}") || fail "no answer to $1 $2"
    printf '%s\n' "$answer" | jq $pretty "$3" 2>/dev/null || fail "$1 $2 answered: $answer"
    case $(printf '%s' "$answer" | jq -r '.type? // ""') in /problems/*) fail "$1 $2 was refused" ;; esac
}
wait_for() { # vm query what
    answer=$(api_quiet GET "/v1/vms/$1/wait?$2&timeout=30s")
    [ "$(jq -r .reached <<<"$answer")" = true ] || { jq . <<<"$answer" >&2; fail "$1 did not reach: $3"; }
    answer=$(jq .vm <<<"$answer")
}
run_in_guest() { # vm shell-command -> its output; the demo ends when it fails
    local body reply
    body=$(jq -nc --arg command "$2" '{command: ["sh", "-c", $command], timeout: "60s"}')
    reply=$(api_quiet POST "/v1/vms/$1/exec" "$body")
    jq -j '(.stdoutBase64 // "") | @base64d' <<<"$reply"
    jq -j '(.stderrBase64 // "") | @base64d' <<<"$reply" >&2
    [ "$(jq -r '.exitCode // 1' <<<"$reply")" = 0 ] || fail "in $1: $2: $reply"
}
in_guest() { # the same, shown as it can be typed
    printf "%s\$ warren exec %s -- sh -c '%s'%s\n" "$dim" "$1" "$2" "$plain"
    run_in_guest "$1" "$2"
}

step "1. Packages, build, guest image"
deploy/scripts/install-dependencies
printf '%sthe first build takes about ten minutes on two cores%s\n' "$dim" "$plain"
mkdir -p .build
for product in warrend warren warren-shim; do
    if ! swift build -c release --product "$product" >.build/demo-build.log 2>&1; then
        tail -n 30 .build/demo-build.log >&2
        fail "$product does not build"
    fi
    printf '%s%s%s\n' "$dim" "$(tail -n 1 .build/demo-build.log)" "$plain"
done
deploy/images/micro/build.sh .build/images
say "built in $((SECONDS - started)) s"
warm=$SECONDS

step "2. The daemon, with its embedded coordination server (config/demo.yaml)"
work=$(mktemp -d "${TMPDIR:-/tmp}/warren-demo.XXXXXX")
mkdir -p -m 0700 "$work/state" "$work/hooks"
ln -s "$here/.build/images" "$work/state/images"
printf '%s$ warrend --config config/demo.yaml --state-dir %s%s\n' "$dim" "$work/state" "$plain"
"$release/warrend" --config config/demo.yaml --state-dir "$work/state" >"$work/warrend.log" 2>&1 &
daemon_pid=$!
for _ in $(seq 200); do
    kill -0 "$daemon_pid" 2>/dev/null || fail "warrend ended at once"
    [ -s "$work/state/http.address" ] && url=http://$(cat "$work/state/http.address") && curl -sf "$url/readyz" >/dev/null && break
    sleep 0.1
done
curl -sf "${url:-http://127.0.0.1:7080}/readyz" >/dev/null || fail "warrend is not ready"
token=$(cat "$work/state/admin.token")
printf '%s$ TOKEN=$(cat %s)%s\n' "$dim" "$work/state/admin.token" "$plain"
say "ready at $url"

step "3. A VM named web, with an auth key"
api POST /v1/tailnet/auth-keys '{id, key: (.key[:18] + "…")}' '{"reusable": true}'
key=$(jq -r .key <<<"$answer")
body=$(jq -nc --arg key "$key" '{name: "web", image: "micro", networkInterface: {authKey: $key}}')
api POST /v1/vms '{id, name, state, network: {state: .network.state}}' "$body"
wait_for web "network=Running" "network Running"
jq $pretty '{state, network: {state: .network.state, addresses: .network.addresses, dnsName: .network.dnsName}}' <<<"$answer"
web_address=$(jq -r '.network.addresses[0]' <<<"$answer")

step "4. A VM named db, with no key: the login URL arrives as a signed webhook"
secret="whsec_$(head -c 24 /dev/urandom | base64)"
deploy/demo/webhook-receiver "$secret" "$work/hooks" &
receiver_pid=$!
for _ in $(seq 50); do [ -s "$work/hooks/port" ] && break; sleep 0.1; done
hook=http://127.0.0.1:$(cat "$work/hooks/port")/login
body=$(jq -nc --arg url "$hook" --arg secret "$secret" \
    '{name: "db", image: "micro", networkInterface: {loginUrlCb: {url: $url, secret: $secret}}}')
api POST /v1/vms '{id, name, state, network: {state: .network.state}}' "$body"
for _ in $(seq 100); do [ -s "$work/hooks/1.json" ] && break; sleep 0.1; done
[ -s "$work/hooks/1.json" ] || fail "no webhook arrived"
say "the receiver got:"
jq $pretty '{id, signature, type: .body.type, vm: .body.data.vm.name, loginUrl: .body.data.loginUrl}' "$work/hooks/1.json"
login_url=$(jq -r .body.data.loginUrl "$work/hooks/1.json")
printf '%s$ curl %s      # the page behind the URL; its button is a POST with a form token%s\n' "$dim" "$login_url" "$plain"
page=$(curl -sSf -c "$work/cookies" "$login_url") || fail "the login page does not open"
form=$(sed -n 's/.*name="token"[^>]*value="\([^"]*\)".*/\1/p' <<<"$page" | head -n 1)
[ -n "$form" ] || fail "the login page has no form token: $page"
printf '%s$ curl -X POST %s -d token=…      # the button%s\n' "$dim" "$login_url" "$plain"
curl -sSf -b "$work/cookies" -X POST "$login_url" --data-urlencode "token=$form" -d action=approve >/dev/null ||
    fail "the approval was refused"
wait_for db "network=Running" "network Running"
jq $pretty '{state, network: {state: .network.state, addresses: .network.addresses, dnsName: .network.dnsName}}' <<<"$answer"

step "5. From inside web's Linux to db, over the tailnet"
wait_for web "agent=ready" "agent ready"
wait_for db "agent=ready" "agent ready"
for vm in web db; do
    run_in_guest "$vm" 'for i in $(seq 100); do ip -4 addr show eth0 | grep -q "inet 100\." && exit 0; sleep 0.1; done; exit 1'
done
in_guest web 'uname -sr; ping -c 3 db'
began=$(run_in_guest web 'cut -d" " -f1 /proc/uptime')
in_guest web 'wget -q -O - http://db/20MiB | wc -c'
ended=$(run_in_guest web 'cut -d" " -f1 /proc/uptime')
say "20 MiB over TCP through WireGuard: $(awk "BEGIN {printf \"%.0f\", 20 * 8.388608 / ($ended - $began)}") Mbit/s"
api GET /v1/vms/web/network '.peers[] | select(.name | startswith("db")) | {name, path, latencyMs, rxBytes, txBytes}'

step "6. A third VM begins as a copy of a saved guest"
for _ in $(seq 300); do
    compgen -G "$work/state/templates/*/template.json" >/dev/null && break
    sleep 0.1
done
copied=$(date +%s%N)
api POST "/v1/vms?wait=agent&timeout=30s" '{name, state}' "$(jq -nc --arg key "$key" \
    '{name: "copy", image: "micro", networkInterface: {authKey: $key}}')"
say "its agent answered $((($(date +%s%N) - copied) / 1000000)) ms after the POST"
in_guest copy 'hostname; cat /etc/machine-id'

step "7. Stop and start: the same address. Delete: the node leaves the tailnet"
api POST /v1/vms/web/stop '{name, state}' '{"timeout": "5s"}'
wait_for web "state=stopped" "stopped"
api POST /v1/vms/web/start '{name, state}'
wait_for web "network=Running" "network Running"
again=$(jq -r '.network.addresses[0]' <<<"$answer")
[ "$again" = "$web_address" ] || fail "web had $web_address and has $again now"
say "web has $again again"
api GET /v1/tailnet/nodes '[.items[] | {name, addresses, online}]'
api DELETE "/v1/vms/web?force=true" '{name, state}'
api DELETE "/v1/vms/db?force=true" '{name, state}'
api DELETE "/v1/vms/copy?force=true" '{name, state}'
for _ in $(seq 100); do
    left=$(api_quiet GET /v1/tailnet/nodes | jq '.items | length')
    [ "$left" = 0 ] && break
    sleep 0.1
done
[ "$left" = 0 ] || fail "a deleted VM is still a node of the tailnet"
api GET /v1/tailnet/nodes '.items'

say "
All of it held. $((SECONDS - warm)) s without building, $((SECONDS - started)) s in all."
