/// What can go wrong around one QEMU.
package enum QEMUError: Error, Equatable, Sendable {
    /// The program is not there or cannot be run.
    case notInstalled(program: String)
    /// A short tool failed; `output` is the end of what it said.
    case toolFailed(program: String, output: String)
    /// A short tool or a start took too long.
    case toolTimedOut(program: String)
    /// QEMU did not come up; `detail` is the shim's or QEMU's own reason.
    case launchFailed(detail: String)
    /// The VM's directory is locked by another shim.
    case alreadyRunning
    /// The VM's directory cannot be used.
    case directory(path: String, errno: Int32)
    /// Nothing listens on the socket.
    case notListening(socket: String)
    /// The other side closed the connection or spoke no sense.
    case closed(socket: String)
    /// No answer came in time.
    case timedOut(command: String)
    /// The other side answered with an error.
    case refused(command: String, description: String)
    /// The guest's agent cannot do what was asked.
    case unsupportedByAgent(String)
    /// The accelerator was asked for by name and does not work.
    case acceleratorUnusable(reason: String)
}
