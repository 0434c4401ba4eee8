#!/usr/bin/env bash
# Builds the guest image "micro" from Debian packages: build.sh [OUTPUT-DIRECTORY]
#
# Leaves OUTPUT/micro/{image.json,vmlinux,initramfs.cpio}. Needs no root. The same packages, compiler and
# SOURCE_DATE_EPOCH give the same bytes. An image that is already made from the same inputs is left alone.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -gt 0 ]; then
    output=$1
elif [ "$(id -u)" -eq 0 ]; then
    output=/var/lib/warren/images
else
    output=${XDG_STATE_HOME:-$HOME/.local/state}/warren/images
fi
# 2024-01-01, unless the builder has a reason for another date.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1704067200}
cache=${WARREN_PACKAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/warren/packages}

fail() { echo "micro: $1" >&2; exit 1; }
for tool in apt-get apt-cache dpkg-deb gcc objcopy cpio lz4 od sha256sum; do
    command -v "$tool" >/dev/null || fail "$tool is missing (deploy/scripts/install-dependencies installs it)"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/warren-micro.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$output" "$cache"

# 1. Packages: the candidates of the package lists, or what the cache holds when the lists are silent.
kernel_package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}') || true
[ -n "$kernel_package" ] || fail "the package lists do not know linux-image-cloud-amd64; run apt-get update"
declare -A package_file package_version
packages=("$kernel_package" busybox-static libjson-c-dev)
# Lines of: 'URL' file size hash
uris=$(apt-get download --print-uris "${packages[@]}" 2>/dev/null) || true
for package in "${packages[@]}"; do
    read -r url file _ < <(awk -v name="${package}_" 'index($2, name) == 1' <<<"$uris") || true
    [ -n "${file:-}" ] || fail "no package named $package; run apt-get update"
    if [ ! -s "$cache/$file" ]; then
        mkdir -p "$work/download"
        (cd "$work/download" && apt-get download -q "$package" >"$work/download.log" 2>&1) ||
            { cat "$work/download.log" >&2; fail "cannot download $package from $url"; }
        mv "$work/download/$file" "$cache/$file"
    fi
    package_file[$package]=$cache/$file
    package_version[$package]=$(dpkg-deb -f "$cache/$file" Version)
done

# 2. Nothing to do when the image is made from exactly these inputs.
inputs=$( {
    cat "$here"/build.sh "$here"/udhcpc.script "$here"/../agent/*.[ch]
    sha256sum "${package_file[@]}" | cut -d' ' -f1
    gcc --version | head -n 1
    echo "$SOURCE_DATE_EPOCH"
} | sha256sum | cut -d' ' -f1)
image=$output/micro
if [ -s "$image/vmlinux" ] && [ -s "$image/initramfs.cpio" ] && grep -qs "\"inputs\": \"$inputs\"" "$image/image.json"; then
    echo "micro: $image is up to date"
    exit 0
fi

# 3. The kernel as an ELF file: QEMU starts it by its PVH note, without unpacking it inside the guest.
for package in "${!package_file[@]}"; do
    dpkg-deb --fsys-tarfile "${package_file[$package]}" | tar -x -C "$work" --one-top-level="$package" --no-same-owner
done
modules=$(echo "$work/$kernel_package"/lib/modules/*)
release=${modules##*/}
bzimage=$work/$kernel_package/boot/vmlinuz-$release
number() { od -An -j "$1" -N "$2" -t "u$2" "$bzimage" | tr -d ' '; }
# The boot protocol's header: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c; the payload's
# last four octets are the unpacked size.
offset=$((($(number 497 1) + 1) * 512 + $(number 584 4)))
length=$(($(number 588 4) - 4))
mkdir -p "$work/image"
dd if="$bzimage" iflag=skip_bytes,count_bytes skip="$offset" count="$length" bs=1M status=none |
    lz4 -q -dc >"$work/image/vmlinux" ||
    fail "the kernel of $kernel_package is not packed with LZ4"

# 4. The root file system.
root=$work/root
mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,dev,proc,sys,run,tmp,root,srv,var,lib/modules}
chmod 1777 "$root/tmp"
cp "$work/busybox-static/bin/busybox" "$root/bin/busybox"
"$root/bin/busybox" --list-full | while read -r applet; do
    case $applet in bin/busybox | sbin/init | linuxrc) continue ;; esac
    mkdir -p "$root/$(dirname "$applet")"
    [ -e "$root/$applet" ] || ln -s /bin/busybox "$root/$applet"
done
compile() { # output sources…
    local result=$1
    shift
    gcc -std=gnu11 -Os -Wall -Wextra -Werror -static -s -ffile-prefix-map="$work"=. -ffile-prefix-map="$here"=. \
        -Wl,--build-id=none -I "$work/libjson-c-dev/usr/include" -o "$result" "$@" \
        "$work/libjson-c-dev/usr/lib/x86_64-linux-gnu/libjson-c.a"
}
(
    cd "$here/../agent"
    compile "$root/init" init.c &
    compile "$root/sbin/dhcp6" dhcp6.c &
    compile "$root/sbin/warren-agent" agent.c exec.c files.c identity.c system.c
    for job in $(jobs -p); do wait "$job"; done
) || fail "the agent does not compile"

# Modules with what they depend on, dependencies first; a name that the kernel has built in is not a file.
declare -A listed=()
list_modules() { # list-file names…
    local list=$1 name file dependency
    shift
    for name in "$@"; do
        name=${name//-/_}
        [ -z "${listed[$name]:-}" ] || continue
        listed[$name]=1
        file=$(find "$modules/kernel" -name '*.ko' | sed 's|.*/||; s|\.ko$||' | grep -x "${name//_/[-_]}" || true)
        [ -n "$file" ] || { grep -q "/${name//_/[-_]}\.ko$" "$modules/modules.builtin" && continue; fail "no module $name"; }
        file=$(find "$modules/kernel" -name "$file.ko")
        dependency=$(objcopy -O binary --only-section=.modinfo "$file" /dev/stdout | tr '\0' '\n' | sed -n 's/^depends=//p')
        # shellcheck disable=SC2086
        list_modules "$list" ${dependency//,/ }
        cp "$file" "$root/lib/modules/$name.ko"
        echo "/lib/modules/$name.ko" >>"$list"
    done
}
touch "$root/etc/modules.boot" "$root/etc/modules.late"
list_modules "$root/etc/modules.boot" virtio_pci virtio_console virtio_net pvpanic_pci
list_modules "$root/etc/modules.late" virtio_rng button evdev

install -m 0755 "$here/udhcpc.script" "$root/etc/udhcpc.script"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n' >"$root/etc/group"
printf 'micro\n' >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
printf 'ID=micro\nNAME="Warren micro"\nPRETTY_NAME="Warren micro (Debian %s)"\n' "$release" >"$root/etc/os-release"
printf '<!doctype html><title>micro</title><p><a href="20MiB">20MiB</a> <a href="1MiB">1MiB</a> <a href="hostname">hostname</a>\n' \
    >"$root/srv/index.html"
ln -s /etc/hostname "$root/srv/hostname"
touch "$root/srv/20MiB" "$root/srv/1MiB" "$root/etc/resolv.conf"

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$root" && find . -mindepth 1 -print0 | sort -z |
    cpio --quiet --null --create --format=newc --owner=0:0 --reproducible) >"$work/image/initramfs.cpio"

# 5. The manifest.
digest() { sha256sum "$work/image/$1" | cut -d' ' -f1; }
size() { stat -c %s "$work/image/$1"; }
arguments="console=ttyS0 panic=-1 quiet tsc=reliable no_timer_check mitigations=off cryptomgr.notests"
# Interrupts of PCI devices routed by ACPI cost half a second of its interpreter under emulation; every device here has
# message-signaled ones.
arguments+=" acpi=noirq"
# Work at boot that only matters to hardware, tracing and policies which this guest does not have (0.4 s emulated).
arguments+=" initcall_blacklist=init_hw_perf_events,tracer_init_tracefs,trace_eval_init,load_system_certificate_list"
arguments+=",blacklist_init,init_ima,init_evm,init_encrypted,crypto_kdf108_init,add_pcspkr"
cat >"$work/image/image.json" <<JSON
{
  "format": 1,
  "name": "micro",
  "description": "Linux $release with busybox, made from Debian packages",
  "architecture": "x86_64",
  "kernel": { "file": "vmlinux", "byteCount": $(size vmlinux), "sha256": "$(digest vmlinux)" },
  "initramfs": { "file": "initramfs.cpio", "byteCount": $(size initramfs.cpio), "sha256": "$(digest initramfs.cpio)" },
  "kernelArguments": "$arguments",
  "minimumMemoryMiB": 128,
  "agent": "warren",
  "packages": {
    "$kernel_package": "${package_version[$kernel_package]}",
    "busybox-static": "${package_version[busybox-static]}",
    "libjson-c-dev": "${package_version[libjson-c-dev]}"
  },
  "sourceDateEpoch": $SOURCE_DATE_EPOCH,
  "inputs": "$inputs"
}
JSON
(cd "$work/image" && touch -d "@$SOURCE_DATE_EPOCH" vmlinux initramfs.cpio image.json)

# 6. Into place: a reader sees the old image or the new one. Both names are in one directory, so that they are renames.
staged=$(mktemp -d "$output/.micro.XXXXXX")
mv "$work/image"/* "$staged/"
chmod 0755 "$staged"
if [ -e "$image" ]; then mv "$image" "$staged.old"; fi
mv "$staged" "$image"
rm -rf "$staged.old"
echo "micro: built $image ($release, vmlinux $((($(stat -c %s "$image/vmlinux") + 524288) / 1048576)) MiB," \
    "initramfs $((($(stat -c %s "$image/initramfs.cpio") + 524288) / 1048576)) MiB)"
