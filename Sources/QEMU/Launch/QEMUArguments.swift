import WarrenModel

/// QEMU's command line; its paths of sockets are relative to the working directory that the shim gives it.
package enum QEMUArguments {
    /// The monitor's name for the guest's side of the NIC.
    ///
    /// Links are raised by this name: by the netdev's name QEMU 7.2 would also change the socket's side, and crash at
    /// the next frame when nobody is connected.
    package static let nicID = "nic0"

    /// The arguments for `launch`, without the program; `name` is what listings of processes show.
    package static func build(_ launch: QEMULaunch, name: String) -> [String] {
        var arguments = [
            "-name", "guest=\(escaped(name))", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
            "-machine", machine(launch), "-cpu", cpu(launch.accelerator), "-smp", String(launch.cpus),
            "-m", "\(launch.memoryMiB)M",
        ]
        arguments += ["-accel", launch.accelerator == .kvm ? "kvm" : "tcg,tb-size=32"]
        arguments += memory(launch)
        arguments += [
            "-chardev", "socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on",
            "-serial", "chardev:console",
            "-chardev", "socket,id=monitor,path=qmp.sock,server=on,wait=off", "-mon", "chardev=monitor,mode=control",
            "-device", "virtio-serial-pci",
            "-chardev", "socket,id=agent,path=agent.sock,server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=\(escaped(QEMUDefaults.agentPort))",
            "-object", "rng-random,id=entropy,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=entropy",
            "-device", "pvpanic-pci",
        ]
        if launch.hasNetwork {
            arguments += [
                "-netdev", "stream,id=net0,server=on,addr.type=unix,addr.path=net.sock",
                "-device",
                "virtio-net-pci,id=\(nicID),netdev=net0,mac=\(QEMUDefaults.macAddress),romfile=,host_mtu=\(QEMUDefaults.mtu)",
            ]
        }
        if case .cloned = launch.memory { arguments += ["-incoming", "defer"] }
        // Last: from here on QEMU may neither gain rights nor start programs.
        arguments += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        return arguments
    }

    /// A value inside a comma-separated option: QEMU reads a doubled comma as one.
    package static func escaped(_ value: String) -> String { value.replacing(",", with: ",,") }

    private static func machine(_ launch: QEMULaunch) -> String {
        "\(escaped(launch.machine)),usb=off,vmport=off" + (launch.memory == .own ? "" : ",memory-backend=\(memoryID)")
    }

    /// What the guest's memory holds at first: a kernel, or what another guest left there.
    private static func memory(_ launch: QEMULaunch) -> [String] {
        var arguments: [String] = []
        if launch.memory.holder != nil {
            var isShared = false
            if case .saved = launch.memory { isShared = true }
            arguments += [
                "-object",
                "memory-backend-file,id=\(memoryID),size=\(launch.memoryMiB)M,mem-path=\(memoryPath),"
                    + "share=\(isShared ? "on" : "off")",
            ]
        }
        if case .cloned = launch.memory { return arguments }
        arguments += ["-kernel", launch.kernel]
        if let initramfs = launch.initramfs { arguments += ["-initrd", initramfs] }
        if !launch.kernelArguments.isEmpty { arguments += ["-append", launch.kernelArguments] }
        return arguments
    }

    /// A saved guest finds its memory by this name.
    private static let memoryID = "ram"
    /// The descriptor under which the shim hands over a template's memory.
    private static let memoryPath = "/proc/self/fd/5"
    /// Where a clone reads the state of its devices from: the descriptor under which the shim hands it over.
    package static let stateSource = "fd:6"
    /// Where a guest that is saved writes the state of its devices to, in its working directory.
    package static let stateSocket = "state.sock"

    private static func cpu(_ accelerator: Accelerator) -> String {
        // With erms and fsrm a guest copies memory by `rep movsb`, which TCG runs octet by octet (a sixth of the speed).
        accelerator == .kvm ? "host" : "max,-erms,-fsrm"
    }
}
