import QEMU
import Testing
import WarrenModel

@Suite("QEMUArguments")
struct QEMUArgumentsTests {
    private let launch = QEMULaunch(
        cpus: 2,
        memoryMiB: 256,
        kernel: "/images/micro/vmlinux",
        initramfs: "/images/micro/initramfs.cpio",
        kernelArguments: "console=ttyS0 quiet"
    )

    @Test func `builds the pinned command line`() {
        #expect(
            QEMUArguments.build(launch, name: "vm_1") == [
                "-name", "guest=vm_1", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
                "-machine", "pc-i440fx-7.2,usb=off,vmport=off", "-cpu", "max,-erms,-fsrm", "-smp", "2", "-m", "256M",
                "-accel", "tcg,tb-size=32", "-kernel", "/images/micro/vmlinux",
                "-initrd", "/images/micro/initramfs.cpio", "-append", "console=ttyS0 quiet",
                "-chardev", "socket,id=console,path=console.sock,server=on,wait=off,logfile=console.log,logappend=on",
                "-serial", "chardev:console",
                "-chardev", "socket,id=monitor,path=qmp.sock,server=on,wait=off", "-mon",
                "chardev=monitor,mode=control",
                "-device", "virtio-serial-pci", "-chardev", "socket,id=agent,path=agent.sock,server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                "-object", "rng-random,id=entropy,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=entropy",
                "-device", "pvpanic-pci",
                "-netdev", "stream,id=net0,server=on,addr.type=unix,addr.path=net.sock",
                "-device", "virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:57:52:4e,romfile=,host_mtu=1280",
                "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            ]
        )
    }

    @Test func `has no NIC without a network`() {
        var launch = launch
        launch.hasNetwork = false
        #expect(!QEMUArguments.build(launch, name: "vm_1").contains { $0.contains("net") })
    }

    @Test func `passes the processor through under KVM`() {
        var launch = launch
        launch.accelerator = .kvm
        let arguments = QEMUArguments.build(launch, name: "vm_1")
        #expect(arguments.contains("kvm") && arguments.contains("host") && !arguments.contains { $0.contains("tcg") })
    }

    @Test func `a value cannot become an option of its own`() {
        var launch = launch
        launch.machine = "pc,accel=kvm"
        launch.kernel = "/images/a,b/vmlinux"
        launch.kernelArguments = "-monitor stdio,x=y -S"
        let arguments = QEMUArguments.build(launch, name: "a,debug-threads=on")
        #expect(arguments.contains("guest=a,,debug-threads=on"))
        #expect(arguments.contains("pc,,accel=kvm,usb=off,vmport=off"))
        // Whole words, which QEMU does not split.
        #expect(arguments.contains("/images/a,b/vmlinux") && arguments.contains("-monitor stdio,x=y -S"))
        #expect(QEMUArguments.escaped("a,b,,c") == "a,,b,,,,c")
    }

    @Test func `takes the newest machine of the family when the pinned one is gone`() {
        let help = "Supported machines are:\npc-i440fx-9.2 x\npc-i440fx-10.0 Standard PC\npc-q35-10.1 y\nmicrovm z\n"
        #expect(QEMUInstallation.bestMachine(in: help) == "pc-i440fx-10.0")
        #expect(QEMUInstallation.bestMachine(in: help + "pc-i440fx-7.2 old\n") == "pc-i440fx-7.2")
        #expect(QEMUInstallation.bestMachine(in: "q35 only") == nil)
    }

    @Test(arguments: ["", "relative/qemu", "/nonexistent/qemu", "no-such-program-anywhere"])
    func `names a program that is not there`(program: String) async {
        await #expect(throws: QEMUError.notInstalled(program: program)) { try await QEMUInstallation.find(program) }
    }
}

@Suite("VMExit")
struct VMExitTests {
    @Test(arguments: [
        (
            #""exitCode":0,"signal":null,"reason":"guest-shutdown","panicked":false,"requested":null"#,
            VMExit.Cause.guestPoweredOff
        ),
        (#""exitCode":0,"signal":null,"reason":"guest-reset","panicked":false,"requested":null"#, .guestReset),
        (#""exitCode":0,"signal":null,"reason":"guest-panic","panicked":true,"requested":null"#, .guestPanicked),
        (#""exitCode":null,"signal":9,"reason":null,"panicked":false,"requested":"kill""#, .requested),
        (#""exitCode":0,"signal":null,"reason":"host-qmp-quit","panicked":false,"requested":null"#, .requested),
        (#""exitCode":null,"signal":11,"reason":null,"panicked":false,"requested":null"#, .failed),
        (#""exitCode":1,"signal":null,"reason":null,"panicked":false,"requested":null"#, .failed),
    ])
    func `reads the shim's report`(members: String, cause: VMExit.Cause) throws {
        let text =
            #"{"event":"exited",\#(members),"startedAtMs":1000,"endedAtMs":2500,"userMs":7,"systemMs":3,"maxRSSKiB":9,"stderr":"a\nb\n"}"#
        let exit = try #require(VMExit(report: JSONTree(parsing: text)))
        #expect(exit.cause == cause)
        #expect(
            exit.duration == .milliseconds(1500) && exit.processorTime == .milliseconds(10)
                && exit.standardError == "a\nb\n"
        )
        if cause == .failed { #expect(exit.summary.hasSuffix(": b.")) }
    }

    @Test func `an end nobody saw is no crash report`() throws {
        #expect(VMExit.unseen.cause == .unseen)
        #expect(VMExit(report: try JSONTree(parsing: #"{"event":"running"}"#)) == nil)
    }
}
